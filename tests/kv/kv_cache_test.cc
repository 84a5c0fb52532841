#include "kv/kv_cache.h"

#include <gmock/gmock.h>

#include <limits>

#include "base/error.h"
#include "kv/kv_fixture.h"
#include "support/tensors.h"

namespace corral::kv {
namespace {

using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

using fixture::kPage;
using fixture::kPlenty;
using fixture::layout_of;

Batch tokens(int64_t sequence, int64_t first, int64_t count) {
  Batch batch;
  batch.append(std::vector<int32_t>(static_cast<size_t>(count)), first, sequence);
  return batch;
}

void feed(KvCache& cache, int64_t sequence, int64_t count) {
  const Batch batch = tokens(sequence, cache.length(sequence), count);
  cache.prepare(batch);
  cache.commit(batch);
}

TEST(KvCache, GlobalLayersKeepEverythingAndChunkedLayersOneChunk) {
  // Layers share pages by kind: 2 global layers, 3 of chunk 128.
  KvCache cache(layout_of({128, 128, 0, 128, 0}), test::test_device(), kPlenty);
  const int64_t id = cache.create();
  EXPECT_EQ(cache.bytes(), 0);
  int64_t most_chunk_pages = 0;
  for (int64_t length = 1; length <= 1000; ++length) {
    feed(cache, id, 1);
    const int64_t global_pages = (length + 63) / 64;
    const int64_t chunk_pages = ((length - 1) % 128 + 64) / 64;
    ASSERT_EQ(cache.bytes(), kPage * (2 * global_pages + 3 * chunk_pages)) << length;
    most_chunk_pages = std::max(most_chunk_pages, chunk_pages);
  }
  EXPECT_EQ(most_chunk_pages, 2);
  cache.release(id);
  EXPECT_EQ(cache.bytes(), 0);
}

TEST(KvCache, APieceOverManyChunksLeavesTheLast) {
  KvCache cache(layout_of({100}), test::test_device(), kPlenty);
  const int64_t id = cache.create();
  feed(cache, id, 950);
  EXPECT_EQ(cache.length(id), 950);
  EXPECT_EQ(cache.bytes(), kPage);  // positions 900 to 949
  feed(cache, id, 20);
  EXPECT_EQ(cache.bytes(), 2 * kPage);
}

TEST(KvCache, PagesOfSmallChunksAreSmall) {
  KvLayout layout = layout_of({8, 0});
  layout.page_tokens = 256;
  KvCache cache(layout, test::test_device(), kPlenty);
  feed(cache, cache.create(), 20);
  EXPECT_EQ(cache.bytes(), kPage + 4 * kPage);
}

TEST(KvCache, ForksShareUntilOneWrites) {
  KvCache cache(layout_of({0}), test::test_device(), kPlenty);
  const int64_t first = cache.create();
  feed(cache, first, 100);
  const int64_t second = cache.fork(first);
  EXPECT_NE(first, second);
  EXPECT_EQ(cache.length(second), 100);
  EXPECT_EQ(cache.bytes(), 2 * kPage);

  // Only the half-full page is copied, whoever writes first; the other then owns the old one.
  EXPECT_EQ(cache.bytes_to_prepare(tokens(second, 100, 1)), kPage);
  feed(cache, second, 1);
  EXPECT_EQ(cache.bytes(), 3 * kPage);
  EXPECT_EQ(cache.bytes_to_prepare(tokens(first, 100, 1)), 0);
  feed(cache, first, 1);
  EXPECT_EQ(cache.bytes(), 3 * kPage);

  cache.release(first);
  EXPECT_EQ(cache.bytes(), 2 * kPage);
  EXPECT_EQ(cache.length(second), 101);
  cache.release(second);
  EXPECT_EQ(cache.bytes(), 0);
}

TEST(KvCache, AWriteDoesNotReachTheOtherFork) {
  KvCache cache(layout_of({0}), test::test_device(), kPlenty);
  const int64_t first = cache.create();
  feed(cache, first, 10);
  const auto k_tile = [&](int64_t id) {
    return reinterpret_cast<float*>(cache.layer(0).sequence(id).k_tile(0, 0));
  };
  k_tile(first)[3] = 7;
  const int64_t second = cache.fork(first);
  EXPECT_EQ(k_tile(first), k_tile(second));
  feed(cache, second, 1);
  EXPECT_NE(k_tile(first), k_tile(second));
  EXPECT_EQ(k_tile(second)[3], 7);
  k_tile(second)[3] = 8;
  EXPECT_EQ(k_tile(first)[3], 7);
}

TEST(KvCache, BothForksInOneBatchCostOneCopy) {
  KvCache cache(layout_of({0}), test::test_device(), kPlenty);
  const int64_t first = cache.create();
  feed(cache, first, 10);
  Batch batch = tokens(first, 10, 1);
  batch.append(std::vector<int32_t>(1), 10, cache.fork(first));
  EXPECT_EQ(cache.bytes_to_prepare(batch), kPage);
  cache.prepare(batch);
  cache.commit(batch);
  EXPECT_EQ(cache.bytes(), 2 * kPage);
}

TEST(KvCache, FreshPagesAreZeroEvenAfterUse) {
  KvCache cache(layout_of({0}), test::test_device(), kPlenty);
  for (int round = 0; round < 2; ++round) {
    const int64_t id = cache.create();
    feed(cache, id, 1);
    auto* k = reinterpret_cast<float*>(cache.layer(0).sequence(id).k_tile(0, 0));
    for (int64_t i = 0; i < 64 * 16; ++i) {
      ASSERT_EQ(k[i], 0);
      k[i] = std::numeric_limits<float>::quiet_NaN();
    }
    cache.release(id);
  }
}

TEST(KvCache, RefusesWhatDoesNotFitAndStaysAsItWas) {
  KvCache cache(layout_of({0, 64}), test::test_device(), 5 * kPage);
  const int64_t id = cache.create();
  feed(cache, id, 128);  // two global pages, one of the chunk
  EXPECT_EQ(cache.bytes(), 3 * kPage);
  // Three more global pages and three chunk pages, less the finished chunk's.
  EXPECT_EQ(cache.bytes_to_prepare(tokens(id, 128, 129)), (3 + 3 - 1) * kPage);
  EXPECT_THAT([&] { cache.prepare(tokens(id, 128, 129)); },
              ThrowsMessage<Error>(HasSubstr("129 more tokens need 40960 bytes, 24576 of 40960")));
  EXPECT_EQ(cache.bytes(), 3 * kPage);
  EXPECT_EQ(cache.length(id), 128);
  feed(cache, id, 64);  // frees a chunk, so one more page of each fits
  EXPECT_EQ(cache.bytes(), 4 * kPage);
}

TEST(KvCache, AStepCanBeRepeatedUntilItIsCommitted) {
  KvCache cache(layout_of({0, 100}), test::test_device(), kPlenty);
  const int64_t id = cache.create();
  feed(cache, id, 90);
  cache.prepare(tokens(id, 90, 300));
  EXPECT_EQ(cache.length(id), 90);
  cache.prepare(tokens(id, 90, 20));
  cache.commit(tokens(id, 90, 20));
  EXPECT_EQ(cache.length(id), 110);
  EXPECT_EQ(cache.bytes(), (2 + 1) * kPage);
}

TEST(KvCache, CutsWhereTheChunksReach_FactsRow12) {
  KvCache cache(layout_of({0, 100, 64}), test::test_device(), kPlenty);
  const int64_t id = cache.create();
  feed(cache, id, 350);
  EXPECT_EQ(cache.restorable(id, 350), 350);
  EXPECT_EQ(cache.restorable(id, 321), 321);  // within both chunks: from 300 and from 320
  EXPECT_EQ(cache.restorable(id, 320), 320);
  // 310 lies in the chunk of 64 that ended at 320: from 256, which is inside a chunk of 100 that is
  // gone: from 200, inside a chunk of 64: 192, inside one of 100: 100, then 64, then 0.
  EXPECT_EQ(cache.restorable(id, 310), 0);
  EXPECT_EQ(cache.restorable(id, 0), 0);
  EXPECT_THAT([&] { cache.truncate(id, 310); },
              ThrowsMessage<Error>(HasSubstr("cannot be cut to 310 tokens, its chunk is gone: cut "
                                             "to 0 and feed the rest again")));
  EXPECT_EQ(cache.length(id), 350);
  cache.truncate(id, 325);
  EXPECT_EQ(cache.length(id), 325);
  EXPECT_EQ(cache.restorable(id, 321), 321);
  feed(cache, id, 10);
  cache.truncate(id, 0);
  EXPECT_EQ(cache.bytes(), 0);
  feed(cache, id, 10);
  EXPECT_EQ(cache.length(id), 10);
}

TEST(KvCache, CutsToABorderOfAChunkThatIsGone) {
  KvCache cache(layout_of({0, 100}), test::test_device(), kPlenty);
  const int64_t id = cache.create();
  feed(cache, id, 350);
  EXPECT_EQ(cache.restorable(id, 170), 100);
  cache.truncate(id, 100);
  EXPECT_EQ(cache.bytes(), 2 * kPage);  // the global layer's
  feed(cache, id, 30);
  EXPECT_EQ(cache.restorable(id, 110), 110);
  EXPECT_EQ(cache.bytes(), (3 + 1) * kPage);
}

TEST(KvCache, AFinishedChunkCanBeCutUntilTheNextToken) {
  KvCache cache(layout_of({64}), test::test_device(), kPlenty);
  const int64_t id = cache.create();
  feed(cache, id, 128);
  EXPECT_EQ(cache.restorable(id, 127), 127);
  feed(cache, id, 1);
  EXPECT_EQ(cache.restorable(id, 127), 64);
}

TEST(KvCache, HandlesAreNotUsedTwice) {
  KvCache cache(layout_of({0}), test::test_device(), kPlenty);
  const int64_t first = cache.create();
  cache.release(first);
  EXPECT_NE(cache.create(), first);
  EXPECT_THAT([&] { cache.length(first); }, ThrowsMessage<UsageError>(HasSubstr("no sequence")));
  EXPECT_THROW(cache.fork(first), UsageError);
  EXPECT_THROW(cache.release(first), UsageError);
}

TEST(KvCacheErrors, NameTheSequence) {
  KvCache cache(layout_of({0}), test::test_device(), kPlenty);
  const int64_t id = cache.create();
  feed(cache, id, 5);
  EXPECT_THAT([&] { cache.prepare(tokens(id, 4, 1)); },
              ThrowsMessage<UsageError>(HasSubstr("has 5 tokens, the batch goes on at 4")));
  Batch twice = tokens(id, 5, 1);
  twice.append(std::vector<int32_t>(1), 5, id);
  EXPECT_THAT([&] { cache.prepare(twice); }, ThrowsMessage<UsageError>(HasSubstr("twice")));
  EXPECT_THAT([&] { cache.commit(tokens(id, 5, 100)); },
              ThrowsMessage<UsageError>(HasSubstr("not prepared")));
  EXPECT_THROW(cache.restorable(id, 6), UsageError);
  EXPECT_THROW(cache.truncate(id, -1), UsageError);
  EXPECT_THROW(cache.layer(1), UsageError);
  EXPECT_THROW(cache.layer(-1), UsageError);
}

TEST(KvCacheErrors, RefuseLayoutsThatMakeNoSense) {
  const DevicePtr device = test::test_device();
  const auto make = [&](const std::function<void(KvLayout&)>& change) {
    KvLayout layout = layout_of({0, 8});
    change(layout);
    KvCache cache(layout, device, kPlenty);
  };
  make([](KvLayout&) {});
  EXPECT_THROW(make([](KvLayout& l) { l.chunk_sizes = {}; }), UsageError);
  EXPECT_THROW(make([](KvLayout& l) { l.chunk_sizes = {-1}; }), UsageError);
  EXPECT_THROW(make([](KvLayout& l) { l.kv_heads = 0; }), UsageError);
  EXPECT_THROW(make([](KvLayout& l) { l.head_dim = int64_t{1} << 40; }), UsageError);
  EXPECT_THROW(make([](KvLayout& l) { l.page_tokens = 32; }), UsageError);
  EXPECT_THROW(make([](KvLayout& l) { l.types.v = DType::kI32; }), NotSupported);
}

TEST(KvCache, AChunkSizeBeyondAnySequenceIsLikeAGlobalLayer_FactsRow26) {
  KvCache cache(layout_of({std::numeric_limits<int64_t>::max(), 0}), test::test_device(), kPlenty);
  const int64_t id = cache.create();
  feed(cache, id, 200);
  EXPECT_EQ(cache.bytes(), 2 * 4 * kPage);
  cache.truncate(id, 3);
  EXPECT_EQ(cache.bytes(), 2 * kPage);
}

// CVE-2026-53923's class: a size cut to fewer bits before memory is made for it.
TEST(KvCache, CountsBytesBeyondThirtyTwoBits) {
  const KvCache cache(layout_of({0}), test::test_device(), kPlenty);
  const int64_t pages = (int64_t{1} << 33) + 1;
  EXPECT_EQ(cache.most_bytes(pages * 64, 1), pages * kPage);
  EXPECT_EQ(cache.most_bytes(std::numeric_limits<int64_t>::max(), 1),
            std::numeric_limits<int64_t>::max());
  KvCache same(layout_of({0}), test::test_device(), kPlenty);
  EXPECT_THROW(same.create_blank(pages * 64), Error);
  EXPECT_EQ(same.bytes(), 0);
}

}  // namespace
}  // namespace corral::kv
