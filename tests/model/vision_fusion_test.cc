// Images inside a text model: early fusion, and the gradient from the text loss back through it
// into every parameter of the tower.

#include <gmock/gmock.h>

#include <cmath>

#include "autograd/tape.h"
#include "model/tiny_model.h"
#include "model/vision/vision_tower.h"
#include "ops/cross_entropy/cross_entropy.h"
#include "support/tensors.h"

namespace corral::model {
namespace {

constexpr int32_t kPatch = 7;

// Two layers, RoPE with chunks and NoPE: a loss must be cheap to compute a hundred times.
Config two_layers() {
  Config c = test::tiny_config();
  c.num_hidden_layers = 2;
  c.no_rope_layers = {1, 0};
  c.moe_layers = {1};
  c.normalise();
  return c;
}

VisionConfig two_layer_vision(const Config& text) {
  VisionConfig c = test::tiny_vision(text, 2);
  c.image_token = kPatch;
  return c;
}

// Text with an image of two tiles: four vectors each.
kv::Batch batch_with(const Tensor& vectors) {
  const std::vector<int32_t> tokens = {1,      2,      kPatch, kPatch, kPatch, kPatch, 3,
                                       kPatch, kPatch, kPatch, kPatch, 4,      5};
  kv::Batch batch;
  batch.append(tokens, 0);
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (tokens[i] == kPatch) batch.vector_rows.push_back(static_cast<int64_t>(i));
  }
  batch.vectors = vectors;
  return batch;
}

class Fusion : public ::testing::Test {
 protected:
  DevicePtr device = Device::cpu({.threads = 1});
  Config text = two_layers();
  VisionConfig vision = two_layer_vision(text);
  TextModel model{text, arrange_weights(text, [this](const ParameterInfo& info) {
                    return initialise_parameter(text, info, 1, device);
                  })};
  Tensor tiles = test::randn({2, 3, 8, 8}, 3, device);
  std::vector<int32_t> targets = {2, -100, -100, -100, -100, 3, -100, -100, -100, -100, 4, 5, 6};

  double loss(const VisionTower& tower, bool backward) {
    const kv::Batch batch = batch_with(tower.encode(tiles));
    const auto result = ops::cross_entropy(model.hidden(batch), model.weights().readout, targets,
                                           5.0, quant::Precision::kF32);
    if (backward) autograd::backward(result.loss);
    return static_cast<double>(result.loss.data<float>()[0]);
  }
};

// Central differences of a float32 loss are right to about 1e-3 of the largest gradient of a
// tensor: a missing or doubled path is off by much more. Directions instead of single elements keep
// the difference well above the rounding.
TEST_F(Fusion, GradientOfEveryTowerParameterMatchesFiniteDifferences) {
  const VisionTower tower = VisionTower::trainable(vision, initialise_vision(vision, 2, device));
  loss(tower, true);
  for (const NamedParameter& p : tower.parameters()) {
    const Tensor gradient = autograd::gradient(p.value);
    ASSERT_TRUE(gradient.defined()) << p.name;
    // Along the gradient itself: the slope is its length.
    double norm = 0;
    for (const float g : gradient.values<float>()) norm += static_cast<double>(g) * g;
    norm = std::sqrt(norm);
    ASSERT_GT(norm, 0) << p.name;
    Tensor value = p.value.detach();
    const Tensor kept = value.clone();
    const double step = 4e-3;
    const auto moved = [&](double by) {
      for (int64_t i = 0; i < value.numel(); ++i) {
        value.mutable_data<float>()[i] =
            kept.data<float>()[i] +
            static_cast<float>(by * static_cast<double>(gradient.data<float>()[i]) / norm);
      }
      return loss(tower, false);
    };
    const double slope = (moved(step) - moved(-step)) / (2 * step);
    moved(0);
    EXPECT_NEAR(slope, norm, 0.02 * norm + 2e-4) << p.name;
  }
}

TEST_F(Fusion, VectorsStandInPlaceOfTheirTokensAlone) {
  const Tensor vectors = test::randn({8, text.hidden_size}, 5, device);
  const kv::Batch with = batch_with(vectors);
  class Embed : public Observer {
   public:
    void activation(const std::string& name, const Tensor& x) override {
      if (name == "embed") seen = x;
    }
    void routed(int64_t, const Tensor&, const ops::Routing&) override {}
    Tensor seen;
  };
  Embed fused;
  Embed plain;
  model.hidden(with, {.observer = &fused});
  kv::Batch without = with;
  without.vector_rows.clear();
  without.vectors = {};
  model.hidden(without, {.observer = &plain});
  int64_t next = 0;
  for (int64_t t = 0; t < with.size(); ++t) {
    const bool image = with.tokens[static_cast<size_t>(t)] == kPatch;
    const Tensor wanted = image ? vectors.rows(next, next + 1) : plain.seen.rows(t, t + 1);
    EXPECT_TRUE(test::same_bits(fused.seen.rows(t, t + 1), wanted)) << t;
    next += image ? 1 : 0;
  }
}

// A model that never looks at the picture answers fluently all the same: what it says about
// opposite pictures must differ.
TEST_F(Fusion, OppositePicturesGiveDifferentOutputs_FactsRow25) {
  const VisionTower tower(
      vision, arrange_vision_weights(
                  vision, [&, next = size_t{0}, all = initialise_vision(vision, 2, device)](
                              const auto&) mutable { return all[next++]; }));
  const auto picture = [&](auto colour) {
    Tensor x({2, 3, 8, 8}, DType::kF32, device);
    for (int64_t i = 0; i < x.numel(); ++i) {
      x.mutable_data<float>()[i] = colour(i / 64 % 3, i / 8 % 8, i % 8) ? 1.0f : -1.0f;
    }
    return x;
  };
  const auto logits = [&](const Tensor& image) {
    const Tensor hidden = model.hidden(batch_with(tower.encode(image)));
    return model.logits(hidden.rows(hidden.dim(0) - 1, hidden.dim(0)));
  };
  const auto apart = [&](const Tensor& a, const Tensor& b) {
    double worst = 0;
    for (int64_t i = 0; i < a.numel(); ++i) {
      worst =
          std::max(worst, std::abs(static_cast<double>(a.data<float>()[i]) - b.data<float>()[i]));
    }
    return worst;
  };
  const auto left = picture([](auto, auto, auto x) { return x < 4; });
  const auto right = picture([](auto, auto, auto x) { return x >= 4; });
  const auto red = picture([](auto c, auto, auto) { return c == 0; });
  const auto blue = picture([](auto c, auto, auto) { return c == 2; });
  EXPECT_GT(apart(logits(left), logits(right)), 1e-2);
  EXPECT_GT(apart(logits(red), logits(blue)), 1e-2);
  EXPECT_EQ(apart(logits(red), logits(red)), 0);
}

TEST_F(Fusion, RefusesVectorsThatDoNotFit) {
  kv::Batch batch = batch_with(test::randn({7, text.hidden_size}, 5, device));
  EXPECT_THAT([&] { model.hidden(batch); },
              ::testing::ThrowsMessage<ShapeError>(::testing::HasSubstr("vectors for 8 rows")));
  batch = batch_with(test::randn({8, text.hidden_size}, 5, device));
  batch.vector_rows.back() = 13;
  EXPECT_THAT([&] { model.hidden(batch); },
              ::testing::ThrowsMessage<UsageError>(::testing::HasSubstr("row 13 of 13")));
}

}  // namespace
}  // namespace corral::model
