#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>
#include <vector>

#include "autograd/tape.h"
#include "base/error.h"
#include "model/tiny_model.h"
#include "ops/select_rows/select_rows.h"
#include "support/tensors.h"

namespace corral::model {
namespace {

std::vector<int32_t> some_tokens(int64_t n, int32_t first) {
  std::vector<int32_t> tokens(static_cast<size_t>(n));
  for (size_t i = 0; i < tokens.size(); ++i) {
    tokens[i] = (first + 37 * static_cast<int32_t>(i)) % 320;
  }
  return tokens;
}

class CountsActivations : public Observer {
 public:
  void activation(const std::string& /*name*/, const Tensor& x) override {
    rows.push_back(x.dim(0));
  }
  void routed(int64_t /*layer*/, const Tensor& logits_TE, const ops::Routing& /*r*/) override {
    rows.push_back(logits_TE.dim(0));
  }
  std::vector<int64_t> rows;
};

/// Two sequences that lie in a batch side by side, the first longer than a chunk and begun before.
class HiddenOf : public testing::TestWithParam<bool> {
 protected:
  /// The vectors of all rows, and of those that are wanted, of the batch.
  struct Both {
    Tensor all;
    Tensor wanted;
  };
  kv::Batch begin(kv::KvCache& cache, const ForwardOptions& options) const {
    const int64_t first = cache.create();
    const int64_t second = cache.create();
    kv::Batch before;
    before.append(some_tokens(5, 1), 0, first);
    model.hidden(before, options);
    kv::Batch batch;
    batch.append(some_tokens(30, 11), 5, first);
    batch.append(some_tokens(7, 3), 0, second);
    return batch;
  }
  Both both(const std::vector<int64_t>& rows, Observer* observer = nullptr) const {
    const autograd::NoGrad no_grad;
    Both both;
    for (const bool some : {false, true}) {
      kv::KvCache cache(model.kv_layout(), device);
      ForwardOptions options;
      options.cache = &cache;
      const kv::Batch batch = begin(cache, options);
      options.observer = observer;
      (some ? both.wanted : both.all) =
          some ? model.hidden_of(batch, rows, options) : model.hidden(batch, options);
      // What follows sees the keys and values of all rows.
      options.observer = nullptr;
      kv::Batch next;
      next.append(some_tokens(1, 9), 35, batch.segments[0].sequence);
      next.append(some_tokens(1, 8), 7, batch.segments[1].sequence);
      (some ? after_some : after_all) = model.hidden(next, options);
    }
    return both;
  }

  DevicePtr device = test::test_device();
  TextModel model = test::tiny_model(test::tiny_config(GetParam()), device);
  mutable Tensor after_all;
  mutable Tensor after_some;
};

TEST_P(HiddenOf, GivesTheBitsOfThoseRowsOfAll) {
  std::vector<int64_t> every(37);
  std::iota(every.begin(), every.end(), int64_t{0});
  for (const std::vector<int64_t>& rows : {std::vector<int64_t>{36},
                                           {29},
                                           {29, 36},
                                           {0},
                                           {3, 4, 5, 20, 30, 36},
                                           {28, 29, 30, 31},
                                           every}) {
    const Both result = both(rows);
    EXPECT_TRUE(test::same_bits(result.wanted, ops::select_rows(result.all, {}, rows)));
    EXPECT_TRUE(test::same_bits(after_some, after_all));
  }
}

TEST_P(HiddenOf, NoRowsLeaveKeysAndValuesBehind) {
  const Both result = both({});
  EXPECT_EQ(result.wanted.shape(), (Shape{0, result.all.dim(1)}));
  EXPECT_TRUE(test::same_bits(after_some, after_all));
}

TEST_P(HiddenOf, ShowsWhoWatchesAllRows) {
  CountsActivations seen;
  const Both result = both({36}, &seen);
  EXPECT_EQ(result.wanted.dim(0), 1);
  EXPECT_TRUE(test::same_bits(result.wanted, ops::select_rows(result.all, {}, {{36}})));
  EXPECT_THAT(seen.rows, testing::Each(37));
}

TEST_P(HiddenOf, TakesRowsOfWholeSequencesWithoutACache) {
  const autograd::NoGrad no_grad;
  kv::Batch batch;
  batch.append(some_tokens(20, 5), 0);
  const std::vector<int64_t> rows = {4, 19};
  EXPECT_TRUE(test::same_bits(model.hidden_of(batch, rows, {}),
                              ops::select_rows(model.hidden(batch), {}, rows)));
}

TEST_P(HiddenOf, RefusesRowsThatThereAreNot) {
  const autograd::NoGrad no_grad;
  kv::Batch batch;
  batch.append(some_tokens(4, 5), 0);
  for (const std::vector<int64_t>& rows : {std::vector<int64_t>{4}, {-1}, {2, 1}, {1, 1}}) {
    EXPECT_THROW(model.hidden_of(batch, rows, {}), UsageError);
  }
}

INSTANTIATE_TEST_SUITE_P(Models, HiddenOf, testing::Bool(), [](const auto& one) {
  return one.param ? std::string("scout") : std::string("maverick");
});

}  // namespace
}  // namespace corral::model
