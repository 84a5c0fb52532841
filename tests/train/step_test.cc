#include "train/step.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "autograd/tape.h"
#include "base/error.h"
#include "base/random.h"
#include "model/initialise.h"
#include "model/presets.h"

namespace corral::train {
namespace {

/// Documents of lengths that fall on both sides of the attention chunk.
std::vector<data::TrainingBatch> documents(int64_t vocab_size) {
  std::vector<data::TrainingBatch> batches;
  const Philox random(5);
  uint64_t next = 0;
  for (const int64_t length : {40, 7, 33, 64}) {
    data::TrainingBatch batch;
    std::vector<int32_t> tokens;
    for (int64_t i = 0; i < length; ++i) {
      tokens.push_back(
          static_cast<int32_t>(random.below(static_cast<uint64_t>(vocab_size), next++)));
      batch.targets.push_back(i % 5 == 0 ? data::kIgnored
                                         : static_cast<int32_t>(random.below(
                                               static_cast<uint64_t>(vocab_size), next++)));
      if (i % 5 != 0) ++batch.supervised;
    }
    batch.batch.append(tokens, 0);
    batches.push_back(std::move(batch));
  }
  return batches;
}

data::TrainingBatch joined(const std::vector<data::TrainingBatch>& batches) {
  data::TrainingBatch all;
  for (const data::TrainingBatch& batch : batches) {
    all.batch.append(batch.batch.tokens, 0);
    all.targets.insert(all.targets.end(), batch.targets.begin(), batch.targets.end());
    all.supervised += batch.supervised;
  }
  return all;
}

class Step : public ::testing::Test {
 protected:
  Step() : config_(model::find_preset("tiny").config), device_(Device::cpu({.threads = 2})) {
    config_.vocab_size = 300;
    model_ = std::make_unique<model::TextModel>(
        model::TextModel::trainable(config_, model::initialise(config_, 1, device_)));
  }

  std::vector<Tensor> gradients() {
    std::vector<Tensor> all;
    for (const auto& parameter : model_->parameters()) {
      all.push_back(autograd::gradient(parameter.value).clone());
      autograd::clear_gradient(parameter.value);
    }
    return all;
  }

  model::Config config_;
  DevicePtr device_;
  std::unique_ptr<model::TextModel> model_;
};

TEST_F(Step, GivesTheGradientOfTheWholeBatchHoweverItIsCut) {
  const auto parts = documents(config_.vocab_size);
  const std::vector<data::TrainingBatch> whole = {joined(parts)};
  const StepLoss one = accumulate_gradients(*model_, whole, {}, 1e-4);
  const auto expected = gradients();
  const StepLoss four = accumulate_gradients(*model_, parts, {}, 1e-4);
  const auto actual = gradients();
  EXPECT_EQ(one.supervised, four.supervised);
  // A token's loss does not depend on its neighbours in the batch; only the sums are cut elsewhere.
  EXPECT_NEAR(one.nll, four.nll, 1e-12);
  EXPECT_NEAR(one.z_loss, four.z_loss, 1e-8);
  for (size_t i = 0; i < expected.size(); ++i) {
    double difference = 0;
    double length = 0;
    for (int64_t k = 0; k < expected[i].numel(); ++k) {
      const double a = expected[i].data<float>()[k];
      const double b = actual[i].data<float>()[k];
      difference += (a - b) * (a - b);
      length += a * a;
    }
    EXPECT_LE(std::sqrt(difference), 1e-5 * std::sqrt(length)) << model_->parameters()[i].name;
  }
}

TEST_F(Step, HasTheSameBitsWithRecomputation) {
  const auto parts = documents(config_.vocab_size);
  const StepLoss kept = accumulate_gradients(*model_, parts, {}, 0);
  const auto expected = gradients();
  model::ForwardOptions options;
  options.recompute = true;
  const StepLoss again = accumulate_gradients(*model_, parts, options, 0);
  const auto actual = gradients();
  EXPECT_EQ(kept.nll, again.nll);
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_TRUE(std::ranges::equal(expected[i].values<float>(), actual[i].values<float>()))
        << model_->parameters()[i].name;
  }
}

TEST_F(Step, RefusesABatchWithoutTargets) {
  auto parts = documents(config_.vocab_size);
  for (auto& part : parts) {
    std::fill(part.targets.begin(), part.targets.end(), data::kIgnored);
    part.supervised = 0;
  }
  EXPECT_THROW(accumulate_gradients(*model_, parts, {}, 0), UsageError);
}

TEST_F(Step, FindsTheFirstTensorThatIsNotFinite) {
  const auto batch = joined(documents(config_.vocab_size));
  EXPECT_EQ(find_not_finite(*model_, batch.batch, {}), "");
  Tensor norm;
  for (const auto& parameter : model_->parameters()) {
    if (parameter.name == "model.layers.2.input_layernorm.weight") norm = parameter.value;
  }
  norm.mutable_data<float>()[0] = 3e38f;  // finite, but what is multiplied with it is not
  EXPECT_EQ(find_not_finite(*model_, batch.batch, {}).rfind("layer2.", 0), 0u);
  norm.mutable_data<float>()[0] = std::numeric_limits<float>::infinity();
  EXPECT_EQ(find_not_finite(*model_, batch.batch, {}), "model.layers.2.input_layernorm.weight");
}

}  // namespace
}  // namespace corral::train
