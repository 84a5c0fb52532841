#include "kv/prefix_cache.h"

#include <gmock/gmock.h>

#include "base/error.h"
#include "base/random.h"
#include "kv/kv_fixture.h"
#include "support/temp_dir.h"
#include "support/tensors.h"

namespace corral::kv {
namespace {

using fixture::kPage;
using fixture::kPlenty;
using fixture::layout_of;

std::vector<uint64_t> numbers(int64_t count, uint64_t first = 0) {
  std::vector<uint64_t> tokens;
  for (int64_t i = 0; i < count; ++i) tokens.push_back(first + static_cast<uint64_t>(i));
  return tokens;
}

std::span<const uint64_t> head(const std::vector<uint64_t>& tokens, int64_t count) {
  return std::span(tokens).first(static_cast<size_t>(count));
}

// Feeds tokens and leaves in every layer, for each position, the token that stands there: so a
// restored sequence can be checked.
void feed(KvCache& cache, int64_t sequence, std::span<const uint64_t> tokens,
          int64_t piece = 1000) {
  while (!tokens.empty()) {
    const auto length = std::min(tokens.size(), static_cast<size_t>(piece));
    Batch batch;
    const std::vector<int32_t> ids(tokens.begin(), tokens.begin() + static_cast<int64_t>(length));
    batch.append(ids, cache.length(sequence), sequence);
    cache.prepare(batch);
    for (size_t layer = 0; layer < cache.layout().chunk_sizes.size(); ++layer) {
      const KvSequenceView view = cache.layer(static_cast<int64_t>(layer)).sequence(sequence);
      const int64_t chunk = cache.layout().chunk_sizes[layer];
      for (int64_t i = 0; i < batch.size(); ++i) {
        const int64_t position = batch.positions[static_cast<size_t>(i)];
        const int64_t in_tile = (position - AttentionSpan{chunk}.first_visible(position)) % 64;
        reinterpret_cast<float*>(view.v_tile(position, 0))[in_tile * 16] =
            static_cast<float>(batch.tokens[static_cast<size_t>(i)]);
      }
    }
    cache.commit(batch);
    tokens = tokens.subspan(length);
  }
}

// All that the next token sees is what these tokens left.
void expect_holds(KvCache& cache, int64_t sequence, std::span<const uint64_t> tokens) {
  const auto length = static_cast<int64_t>(tokens.size());
  ASSERT_EQ(cache.length(sequence), length);
  for (size_t layer = 0; layer < cache.layout().chunk_sizes.size(); ++layer) {
    const KvSequenceView view = cache.layer(static_cast<int64_t>(layer)).sequence(sequence);
    const AttentionSpan span{cache.layout().chunk_sizes[layer]};
    for (int64_t position = span.first_visible(length); position < length; ++position) {
      ASSERT_TRUE(view.holds(position)) << "layer " << layer << " position " << position;
      const int64_t in_tile = (position - span.first_visible(position)) % 64;
      ASSERT_EQ(reinterpret_cast<float*>(view.v_tile(position, 0))[in_tile * 16],
                static_cast<float>(tokens[static_cast<size_t>(position)]))
          << "layer " << layer << " position " << position;
    }
  }
}

TEST(PrefixCache, FindsTheLongestBeginning) {
  KvCache cache(layout_of({0}), test::test_device(), kPlenty);
  PrefixCache prefixes(cache);
  const auto tokens = numbers(200);
  const int64_t first = cache.create();
  feed(cache, first, tokens);
  prefixes.remember(first, tokens);
  cache.release(first);
  EXPECT_EQ(cache.bytes(), 4 * kPage);
  EXPECT_EQ(prefixes.bytes_alone(), 4 * kPage);

  auto other = numbers(200);
  other[100] = 7;  // within a block
  const PrefixCache::Match match = prefixes.restore(other);
  EXPECT_EQ(match.length, 100);
  expect_holds(cache, match.sequence, head(other, 100));
  feed(cache, match.sequence, std::span(other).subspan(100));
  expect_holds(cache, match.sequence, other);
  // What the second wrote did not reach the first.
  const PrefixCache::Match again = prefixes.restore(tokens);
  expect_holds(cache, again.sequence, tokens);
  EXPECT_EQ(prefixes.restore(numbers(50, 1000)).length, 0);
  EXPECT_EQ(prefixes.known(numbers(300)), 200);
}

TEST(PrefixCache, SharesWhatIsEqualAndGrowsEnds) {
  KvCache cache(layout_of({0}), test::test_device(), kPlenty);
  PrefixCache prefixes(cache);
  const auto tokens = numbers(150);
  const int64_t id = cache.create();
  feed(cache, id, head(tokens, 70));
  prefixes.remember(id, head(tokens, 70));
  EXPECT_EQ(prefixes.blocks(), 2);
  feed(cache, id, std::span(tokens).subspan(70));
  prefixes.remember(id, tokens);
  EXPECT_EQ(prefixes.blocks(), 3);  // the end of 6 tokens became a whole block
  prefixes.remember(id, tokens);
  EXPECT_EQ(prefixes.blocks(), 3);
  const int64_t shorter = cache.create();
  feed(cache, shorter, head(tokens, 130));
  prefixes.remember(shorter, head(tokens, 130));
  EXPECT_EQ(prefixes.blocks(), 3);  // a longer end holds it
  cache.release(shorter);
  cache.release(id);
  EXPECT_EQ(cache.bytes(), 3 * kPage);
  prefixes.clear();
  EXPECT_EQ(cache.bytes(), 0);
}

TEST(PrefixCache, RestoresToTheChunkWhenItsPagesAreGone_FactsRow12) {
  KvCache cache(layout_of({0, 128}), test::test_device(), kPlenty);
  PrefixCache prefixes(cache);
  const auto tokens = numbers(500);
  const int64_t id = cache.create();
  feed(cache, id, tokens, 50);
  prefixes.remember(id, tokens);
  cache.release(id);
  // The chunk in which the sequence ended is whole; of the others only the borders are.
  EXPECT_EQ(prefixes.known(tokens), 500);
  EXPECT_EQ(prefixes.known(head(tokens, 400)), 400);
  EXPECT_EQ(prefixes.known(head(tokens, 384)), 384);
  EXPECT_EQ(prefixes.known(head(tokens, 383)), 256);
  EXPECT_EQ(prefixes.known(head(tokens, 200)), 128);
  EXPECT_EQ(prefixes.known(head(tokens, 127)), 0);
  // Whoever computes the chunk again leaves it for the next.
  const PrefixCache::Match match = prefixes.restore(head(tokens, 300));
  EXPECT_EQ(match.length, 256);
  expect_holds(cache, match.sequence, head(tokens, 256));
  feed(cache, match.sequence, std::span(tokens).subspan(256, 44));
  prefixes.remember(match.sequence, head(tokens, 300));
  EXPECT_EQ(prefixes.known(head(tokens, 300)), 300);
}

TEST(PrefixCache, ForgetsWhatWasUsedLongestAgo) {
  KvCache cache(layout_of({0}), test::test_device(), kPlenty);
  PrefixCache prefixes(cache);
  const auto one = numbers(128);
  const auto two = numbers(128, 5000);
  for (const auto* tokens : {&one, &two}) {
    const int64_t id = cache.create();
    feed(cache, id, *tokens);
    prefixes.remember(id, *tokens);
    cache.release(id);
  }
  cache.release(prefixes.restore(one).sequence);
  while (prefixes.known(two) > 0) ASSERT_TRUE(prefixes.forget_one());
  EXPECT_EQ(prefixes.known(one), 128);
  while (prefixes.forget_one()) {
  }
  EXPECT_EQ(cache.bytes(), 0);
}

TEST(PrefixCache, LosesOldChunksBeforeWhatConversationsGoOnFrom) {
  KvCache cache(layout_of({0, 64}), test::test_device(), kPlenty);
  PrefixCache prefixes(cache);
  const auto tokens = numbers(256);
  const int64_t id = cache.create();
  for (int64_t end = 32; end <= 256; end += 32) {
    feed(cache, id, std::span(tokens).subspan(static_cast<size_t>(end - 32), 32));
    prefixes.remember(id, head(tokens, end));
  }
  cache.release(id);
  const int64_t all = cache.bytes();
  EXPECT_EQ(all, 4 * kPage + 4 * kPage);
  EXPECT_EQ(prefixes.known(head(tokens, 100)), 100);
  ASSERT_TRUE(prefixes.forget_one());
  EXPECT_EQ(cache.bytes(), all - kPage);
  EXPECT_EQ(prefixes.known(tokens), 256);
}

// Many conversations that share beginnings, over chunk sizes that fit pages and that do not: what
// is restored is exactly what was computed, and no page is lost.
TEST(PrefixCache, WalksRandomly_FactsRow12) {
  for (const auto& chunks : {std::vector<int64_t>{0, 16}, {0, 100}, {64, 0, 100}, {0, 128}, {40}}) {
    KvCache cache(layout_of(chunks), test::test_device(), kPlenty);
    PrefixCache prefixes(cache);
    const Philox random(static_cast<uint64_t>(chunks.back()));
    uint64_t drawn = 0;
    const auto below = [&](uint64_t n) { return static_cast<int64_t>(random.below(n, drawn++)); };
    std::vector<std::pair<int64_t, std::vector<uint64_t>>> open;
    for (int step = 0; step < 150; ++step) {
      // A prompt that is like others up to a place.
      auto tokens = numbers(1 + below(330));
      for (int change = 0; change < 2; ++change) {
        const auto at = static_cast<size_t>(below(400));
        if (at < tokens.size()) tokens[at] += static_cast<int32_t>(1000 * (1 + below(2)));
      }
      const PrefixCache::Match match = prefixes.restore(tokens);
      expect_holds(cache, match.sequence, head(tokens, match.length));
      const auto rest = std::span(tokens).subspan(static_cast<size_t>(match.length));
      feed(cache, match.sequence, rest, 1 + below(70));
      expect_holds(cache, match.sequence, tokens);
      prefixes.remember(match.sequence, tokens);
      open.emplace_back(match.sequence, tokens);
      if (below(3) > 0) {
        const auto which = static_cast<size_t>(below(open.size()));
        expect_holds(cache, open[which].first, open[which].second);
        cache.release(open[which].first);
        open.erase(open.begin() + static_cast<ptrdiff_t>(which));
      }
      for (int64_t forget = below(4); forget > 0; --forget) prefixes.forget_one();
    }
    for (const auto& [sequence, tokens] : open) {
      expect_holds(cache, sequence, tokens);
      cache.release(sequence);
    }
    prefixes.clear();
    EXPECT_EQ(cache.bytes(), 0);
    EXPECT_EQ(prefixes.blocks(), 0);
  }
}

TEST(KvBlock, NoSequenceTakesMoreThanMostBytes) {
  for (const auto& chunks : {std::vector<int64_t>{0, 16}, {0, 100}, {64, 0, 100}, {0, 128}}) {
    for (const int64_t piece : {1, 7, 64, 100, 250}) {
      KvCache cache(layout_of(chunks), test::test_device(), kPlenty);
      const int64_t id = cache.create();
      for (int64_t length = 0; length < 400;) {
        const int64_t count = std::min<int64_t>(piece, 400 - length);
        Batch batch;
        batch.append(std::vector<int32_t>(static_cast<size_t>(count)), length, id);
        cache.prepare(batch);
        length += count;
        ASSERT_LE(cache.bytes(), cache.most_bytes(length, piece)) << length << " by " << piece;
        cache.commit(batch);
      }
      // And it is not far above.
      ASSERT_LE(cache.most_bytes(400, piece), 3 * cache.bytes() + 4 * kPage * (2 + piece / 16));
    }
  }
}

TEST(KvBlock, RefusesBlocksThatDoNotFit) {
  KvCache cache(layout_of({0}), test::test_device(), kPlenty);
  const int64_t id = cache.create();
  feed(cache, id, numbers(100));
  EXPECT_THROW(cache.keep(id, 0, 101), UsageError);
  EXPECT_THROW(cache.keep(id, 5, 5), UsageError);
  EXPECT_THROW(cache.keep(id, -1, 5), UsageError);
  KvBlock first = cache.keep(id, 0, 64);
  KvBlock second = cache.keep(id, 64, 100);
  const std::vector<const KvBlock*> gap = {&second};
  EXPECT_THROW(cache.adoptable(gap, 100), UsageError);
  const std::vector<const KvBlock*> both = {&first, &second};
  EXPECT_THROW(cache.adoptable(both, 101), UsageError);
  EXPECT_EQ(cache.adoptable(both, 100), 100);
  cache.drop(first);
  cache.drop(second);
}

std::unique_ptr<PageFile> disk_in(const corral::test::TempDir& folder, int64_t bytes) {
  return std::make_unique<PageFile>(folder.path(), bytes);
}

void remember(KvCache& cache, PrefixCache& prefixes, std::span<const uint64_t> tokens) {
  const int64_t sequence = cache.create();
  feed(cache, sequence, tokens);
  prefixes.remember(sequence, tokens);
  cache.release(sequence);
}

TEST(PrefixDisk, BringsBackWhatMemoryDidNotHold) {
  const corral::test::TempDir folder;
  KvCache cache(layout_of({0, 128}), test::test_device(), kPlenty);
  PrefixCache prefixes(cache, disk_in(folder, kPlenty));
  const auto tokens = numbers(300);
  remember(cache, prefixes, tokens);
  const int64_t in_memory = cache.bytes();
  while (prefixes.forget_one()) {
  }
  EXPECT_EQ(cache.bytes(), 0);
  EXPECT_EQ(prefixes.blocks(), 0);
  EXPECT_EQ(prefixes.disk_bytes(), in_memory);
  EXPECT_EQ(prefixes.known(tokens), 300);
  const auto match = prefixes.restore(tokens);
  EXPECT_EQ(match.length, 300);
  expect_holds(cache, match.sequence, tokens);
  EXPECT_EQ(prefixes.disk_bytes(), 0);
  EXPECT_EQ(prefixes.loaded_bytes(), in_memory);
  cache.release(match.sequence);
  prefixes.clear();
  EXPECT_EQ(cache.bytes(), 0);
}

TEST(PrefixDisk, ComesBackInPieces) {
  const corral::test::TempDir folder;
  KvCache cache(layout_of({0, 128}), test::test_device(), kPlenty);
  PrefixCache prefixes(cache, disk_in(folder, kPlenty));
  const auto tokens = numbers(300);
  remember(cache, prefixes, tokens);
  while (prefixes.forget_one()) {
  }
  const int64_t on_disk = prefixes.disk_bytes();
  EXPECT_FALSE(prefixes.fetch(numbers(300, 5000), 1));  // nothing of it is known
  EXPECT_EQ(prefixes.disk_bytes(), on_disk);
  int pieces = 1;
  for (int64_t before = 0; prefixes.fetch(tokens, 1); ++pieces) {
    EXPECT_GT(prefixes.loaded_bytes(), before);
    before = prefixes.loaded_bytes();
    EXPECT_EQ(prefixes.known(tokens), 300);
  }
  EXPECT_EQ(pieces, 5);  // blocks
  const int64_t loaded = prefixes.loaded_bytes();
  const auto match = prefixes.restore(tokens);
  EXPECT_EQ(match.length, 300);
  expect_holds(cache, match.sequence, tokens);
  EXPECT_EQ(prefixes.loaded_bytes(), loaded);
  cache.release(match.sequence);
  prefixes.clear();
}

TEST(PrefixDisk, ForgetsTheOldestBeyondItsBudget) {
  const corral::test::TempDir folder;
  KvCache cache(layout_of({0}), test::test_device(), kPlenty);
  PrefixCache prefixes(cache, disk_in(folder, 4 * kPage));
  for (uint64_t i = 0; i < 3; ++i) {
    const auto tokens = numbers(128, 1000 * i);
    const int64_t sequence = cache.create();
    feed(cache, sequence, tokens);
    prefixes.remember(sequence, tokens);
    cache.release(sequence);
    while (prefixes.forget_one()) {
    }
  }
  EXPECT_EQ(prefixes.disk_bytes(), 4 * kPage);
  EXPECT_EQ(prefixes.known(numbers(128, 0)), 0);
  EXPECT_EQ(prefixes.known(numbers(128, 1000)), 128);
  EXPECT_EQ(prefixes.known(numbers(128, 2000)), 128);
}

TEST(PrefixDisk, NeverGivesPagesThatAreNotWhatWasWritten) {
  const corral::test::TempDir folder;
  PageFile file(folder.path(), 4 * kPage);
  std::vector<std::byte> page(static_cast<size_t>(kPage), std::byte{7});
  const auto slot = file.write(page);
  ASSERT_TRUE(slot);
  std::vector<std::byte> back(page.size());
  EXPECT_TRUE(file.read(*slot, back));
  EXPECT_EQ(back, page);
  PageFile::Slot damaged = *slot;
  damaged.checksum ^= 1;
  EXPECT_FALSE(file.read(damaged, back));
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(file.write(page));
  EXPECT_FALSE(file.write(page));
  file.release(*slot);
  EXPECT_TRUE(file.write(page));
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));  // nobody else sees the file
  EXPECT_THROW(PageFile("/nowhere/at/all", kPage), IoError);
}

// Sequences of a few families come and go with little memory and less disk: what is restored holds
// its tokens, and budgets hold.
TEST(PrefixDisk, HoldsInARandomWalk) {
  const corral::test::TempDir folder;
  const int64_t memory = 30 * kPage;
  KvCache cache(layout_of({0, 128, 0}), test::test_device(), memory);
  PrefixCache prefixes(cache, disk_in(folder, 20 * kPage));
  const Philox random(5);
  int64_t restored = 0;
  for (uint64_t step = 0; step < 600; ++step) {
    const auto draw = [&](uint64_t i, uint64_t below) { return random.bits(step * 4 + i) % below; };
    std::vector<uint64_t> tokens =
        numbers(1 + static_cast<int64_t>(draw(0, 320)), 1000 * draw(1, 5));
    if (draw(2, 3) == 0) tokens.back() += 100000;
    const auto match = prefixes.restore(tokens);
    restored += match.length;
    expect_holds(cache, match.sequence, head(tokens, match.length));
    const auto rest = std::span(tokens).subspan(static_cast<size_t>(match.length));
    for (size_t at = 0; at < rest.size(); at += 64) {
      const auto piece = rest.subspan(at, std::min<size_t>(64, rest.size() - at));
      // As the scheduler does: room first.
      while (cache.bytes() > memory - 12 * kPage && prefixes.forget_one()) {
      }
      feed(cache, match.sequence, piece);
    }
    expect_holds(cache, match.sequence, tokens);
    prefixes.remember(match.sequence, tokens);
    cache.release(match.sequence);
    ASSERT_LE(cache.bytes(), memory);
    ASSERT_LE(prefixes.disk_bytes(), 20 * kPage);
  }
  EXPECT_GT(restored, 0);
  EXPECT_GT(prefixes.loaded_bytes(), 0);
  prefixes.clear();
  EXPECT_EQ(cache.bytes(), 0);
  EXPECT_EQ(prefixes.disk_bytes(), 0);
}

}  // namespace
}  // namespace corral::kv
