#include "data/packing.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "base/error.h"
#include "support/temp_dir.h"

namespace corral::data {
namespace {

using ::testing::ElementsAre;

/// A file whose document d has the given length and the tokens 100 d, 100 d + 1, ...
std::shared_ptr<const TokenFile> make_tokens(const test::TempDir& dir, const std::string& name,
                                             const std::vector<int64_t>& lengths,
                                             int32_t first = 0) {
  TokenFileWriter writer(dir.path() / name, 1 << 20);
  int32_t base = first;
  for (const int64_t length : lengths) {
    std::vector<int32_t> tokens;
    for (int64_t i = 0; i < length; ++i) tokens.push_back(base + static_cast<int32_t>(i));
    writer.add(tokens, {}, length);
    base += 100;
  }
  writer.commit();
  return TokenFile::open(dir.path() / name);
}

TEST(Mixture, ReadsEverySourceAsOftenAsItsRepeatSays) {
  const test::TempDir dir;
  const Mixture mixture(
      {{"a", make_tokens(dir, "a", {5, 5, 5, 5}), 2.5}, {"b", make_tokens(dir, "b", {5, 5}), 1}},
      7);
  ASSERT_EQ(mixture.items(), 12);
  std::vector<std::map<int64_t, int>> extra_documents;
  for (int64_t epoch = 0; epoch < 6; ++epoch) {
    std::map<std::pair<size_t, int64_t>, int> seen;
    for (int64_t i = 0; i < mixture.items(); ++i) {
      const Mixture::Item item = mixture.at(epoch, i);
      ++seen[{item.source, item.document}];
    }
    EXPECT_EQ(seen.size(), 6u);
    std::map<int64_t, int> of_a;
    for (int64_t d = 0; d < 4; ++d) {
      of_a[d] = seen[{0, d}];
      EXPECT_TRUE(of_a[d] == 2 || of_a[d] == 3) << d;
    }
    extra_documents.push_back(of_a);
    EXPECT_EQ((seen[{1, 0}]), 1);
    EXPECT_EQ((seen[{1, 1}]), 1);
  }
  // The half that is read a third time is not the same in every epoch.
  EXPECT_GT(std::count_if(extra_documents.begin(), extra_documents.end(),
                          [&](const auto& e) { return e != extra_documents[0]; }),
            0);
  EXPECT_DOUBLE_EQ(mixture.tokens_per_epoch(), 60.0);
}

TEST(Mixture, IsShuffledBySeedAndEpochAndByNothingElse) {
  const test::TempDir dir;
  const auto tokens = make_tokens(dir, "a", std::vector<int64_t>(50, 3));
  const auto order = [&](uint64_t seed, int64_t epoch) {
    const Mixture mixture({{"a", tokens, 1}}, seed);
    std::vector<int64_t> documents;
    for (int64_t i = 0; i < 50; ++i) documents.push_back(mixture.at(epoch, i).document);
    return documents;
  };
  EXPECT_EQ(order(1, 0), order(1, 0));
  EXPECT_NE(order(1, 0), order(1, 1));
  EXPECT_NE(order(1, 0), order(2, 0));
  auto sorted = order(1, 0);
  std::sort(sorted.begin(), sorted.end());
  for (int64_t i = 0; i < 50; ++i) EXPECT_EQ(sorted[static_cast<size_t>(i)], i);
}

TEST(Mixture, RefusesToBeEmpty) {
  const test::TempDir dir;
  const auto tokens = make_tokens(dir, "a", {3});
  const auto none = make_tokens(dir, "b", {});
  EXPECT_THROW(Mixture({}, 1), UsageError);
  EXPECT_THROW(Mixture({{"a", tokens, 0.0}}, 1), UsageError);
  EXPECT_THROW(Mixture({{"a", tokens, -1.0}}, 1), UsageError);
  EXPECT_THROW(Mixture({{"b", none, 1}}, 1), UsageError);
  EXPECT_THROW(Mixture({{"a", tokens, 1e300}}, 1), UsageError);
}

TEST(Mixture, TurnsSharesIntoRepeats) {
  EXPECT_THAT(repeats_for_weights({1, 1}, {100, 400}), ElementsAre(4, 1));
  EXPECT_THAT(repeats_for_weights({3, 1, 0}, {100, 100, 50}), ElementsAre(3, 1, 0));
}

TEST(PackedStream, GivesExactlyTheRowsAskedForAndEveryTargetOnce) {
  const test::TempDir dir;
  const std::vector<int64_t> lengths = {9, 2, 14, 5, 30};
  const Mixture mixture({{"a", make_tokens(dir, "a", lengths), 1}}, 3);
  int64_t rows_per_epoch = 0;
  for (const int64_t length : lengths) rows_per_epoch += length - 1;
  PackedStream stream(mixture, {.sequence_tokens = 8});
  std::map<int32_t, int> inputs;
  int64_t rows = 0;
  while (rows < rows_per_epoch) {
    const TrainingBatch batch = stream.next(std::min<int64_t>(11, rows_per_epoch - rows));
    rows += batch.batch.size();
    ASSERT_EQ(batch.targets.size(), batch.batch.tokens.size());
    EXPECT_EQ(batch.supervised, batch.batch.size());
    for (const kv::Segment& segment : batch.batch.segments) {
      EXPECT_LE(segment.length, 8);
      EXPECT_EQ(segment.first_position, 0);
      for (int64_t i = 0; i < segment.length; ++i) {
        const auto row = static_cast<size_t>(segment.begin + i);
        EXPECT_EQ(batch.batch.positions[row], i);
        EXPECT_EQ(batch.targets[row], batch.batch.tokens[row] + 1);
        ++inputs[batch.batch.tokens[row]];
      }
    }
  }
  EXPECT_EQ(static_cast<int64_t>(inputs.size()), rows_per_epoch);
  EXPECT_EQ(stream.cursor(), (DataCursor{.epoch = 1}));
}

TEST(PackedStream, CanKeepThePositionsOfASplitDocument) {
  const test::TempDir dir;
  const Mixture mixture({{"a", make_tokens(dir, "a", {20}), 1}}, 3);
  PackedStream stream(mixture, {.sequence_tokens = 6, .restart_positions = false});
  const TrainingBatch batch = stream.next(19);
  std::vector<int64_t> firsts;
  for (const kv::Segment& segment : batch.batch.segments) firsts.push_back(segment.first_position);
  EXPECT_THAT(firsts, ElementsAre(0, 6, 12, 18));
}

TEST(PackedStream, ContinuesFromItsCursor) {
  const test::TempDir dir;
  const Mixture mixture({{"a", make_tokens(dir, "a", {9, 2, 14, 5, 30}), 2},
                         {"b", make_tokens(dir, "b", {40, 3}, 5000), 1.5}},
                        3);
  PackedStream straight(mixture, {.sequence_tokens = 8});
  for (int i = 0; i < 9; ++i) straight.next(13);
  PackedStream resumed(mixture, {.sequence_tokens = 8}, straight.cursor());
  for (int i = 0; i < 20; ++i) {
    const TrainingBatch a = straight.next(13);
    const TrainingBatch b = resumed.next(13);
    EXPECT_EQ(a.batch.tokens, b.batch.tokens);
    EXPECT_EQ(a.targets, b.targets);
    EXPECT_EQ(a.batch.positions, b.batch.positions);
  }
  EXPECT_EQ(straight.cursor(), resumed.cursor());
}

TEST(PackedStream, RefusesACursorOfOtherData) {
  const test::TempDir dir;
  const Mixture mixture({{"a", make_tokens(dir, "a", {9, 2}), 1}}, 3);
  EXPECT_THROW(PackedStream(mixture, {}, {.item = 2}), UsageError);
  EXPECT_THROW(PackedStream(mixture, {}, {.offset = 8}), UsageError);
  EXPECT_THROW(PackedStream(mixture, {}, {.epoch = -1}), UsageError);
  EXPECT_THROW(PackedStream(mixture, {.sequence_tokens = 0}), UsageError);
}

TEST(PackedStream, LeavesOutTargetsThatAreNotSupervised) {
  const test::TempDir dir;
  TokenFileWriter writer(dir.path() / "a", 100);
  writer.add(std::vector<int32_t>{1, 2, 3, 4, 5}, {1, 0, 0, 1, 1}, 5);
  writer.commit();
  const Mixture mixture({{"a", TokenFile::open(dir.path() / "a"), 1}}, 3);
  PackedStream stream(mixture, {});
  const TrainingBatch batch = stream.next(4);
  EXPECT_THAT(batch.batch.tokens, ElementsAre(1, 2, 3, 4));
  EXPECT_THAT(batch.targets, ElementsAre(kIgnored, kIgnored, 4, 5));
  EXPECT_EQ(batch.supervised, 2);
}

TEST(PackInOrder, ReadsAFileFromTheFrontUpToTheLimit) {
  const test::TempDir dir;
  const auto tokens = make_tokens(dir, "a", {4, 7, 3});
  const auto all = pack_in_order(*tokens, {.sequence_tokens = 4}, 5, 1000);
  ASSERT_EQ(all.size(), 3u);
  EXPECT_THAT(all[0].batch.tokens, ElementsAre(0, 1, 2, 100, 101));
  EXPECT_THAT(all[0].targets, ElementsAre(1, 2, 3, 101, 102));
  EXPECT_THAT(all[1].batch.tokens, ElementsAre(102, 103, 104, 105, 200));
  EXPECT_THAT(all[2].batch.tokens, ElementsAre(201));
  const auto some = pack_in_order(*tokens, {.sequence_tokens = 4}, 5, 6);
  ASSERT_EQ(some.size(), 2u);
  EXPECT_EQ(some[1].batch.size(), 1);
  EXPECT_TRUE(pack_in_order(*make_tokens(dir, "b", {}), {}, 5, 10).empty());
}

}  // namespace
}  // namespace corral::data
