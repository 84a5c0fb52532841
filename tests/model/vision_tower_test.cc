// The image tower against Meta's reference on one tile (tests/data/vision: config, weights and
// values of goldens/vision-tiny), within 5e-5.

#include "model/vision/vision_tower.h"

#include <gmock/gmock.h>

#include <cmath>
#include <map>

#include "autograd/tape.h"
#include "io/safetensors.h"
#include "model/hf_checkpoint.h"
#include "model/recorder.h"
#include "model/vision/vision_checkpoint.h"
#include "support/op_case.h"
#include "support/paths.h"

namespace corral::model {
namespace {

using test::max_difference;
using test::Recorder;

constexpr double kTowerTolerance = 5e-5;

class VisionGolden : public ::testing::Test {
 protected:
  std::filesystem::path dir = test::data_dir() / "vision";
  DevicePtr device = Device::cpu();
  Config text = read_hf_config(dir);
  VisionConfig config = *vision_config(text, "config.json");
  VisionTower tower{config, hf_vision_weights(*io::open_sharded(dir), config, device)};
  io::SafetensorsFile values{dir / "one_tile.safetensors"};

  Tensor value(const std::string& name) { return values.get(name, device); }
};

// Every stage at once: a class token in front instead of last, rotary axes exchanged or counted
// from 0 (its x before y), or a pixel shuffle by columns changes these by 0.3 and more; GELU by
// tanh changes the last by 7e-4.
TEST_F(VisionGolden, GivesTheReferencesActivations_FactsRow21And22And23) {
  Recorder recorder;
  const Tensor vectors = tower.encode(value("tiles"), {.observer = &recorder});
  int compared = 0;
  for (const io::TensorInfo& info : values.tensors()) {
    if (info.name == "tiles") continue;
    ASSERT_TRUE(recorder.activations.contains(info.name)) << info.name;
    EXPECT_LE(max_difference(recorder.activations[info.name], value(info.name)), kTowerTolerance)
        << info.name;
    ++compared;
  }
  EXPECT_EQ(compared, 7);  // ln_pre, three blocks, encoder, adapter, projected
  EXPECT_EQ(vectors.shape(), (Shape{4, 64}));
}

TEST_F(VisionGolden, AnotherRotaryAxisOrderIsFarOff_FactsRow21) {
  // The transposed tile activations through the transposed order would be the same picture: what
  // breaks the symmetry is the order of the axes alone.
  const Tensor tile = value("tiles");
  Tensor turned(tile.shape(), DType::kF32, device);
  const int64_t S = config.image_size;
  for (int64_t c = 0; c < 3; ++c) {
    for (int64_t y = 0; y < S; ++y) {
      for (int64_t x = 0; x < S; ++x) {
        turned.mutable_data<float>()[(c * S + x) * S + y] = tile.data<float>()[(c * S + y) * S + x];
      }
    }
  }
  EXPECT_GT(max_difference(tower.encode(turned), tower.encode(tile)), 0.1);
}

TEST(PixelShuffle, TakesBlocksRowByRow_FactsRow22) {
  EXPECT_THAT(pixel_shuffle_rows(1, 4, 2),
              ::testing::ElementsAre(0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15));
  EXPECT_THAT(pixel_shuffle_rows(2, 2, 2), ::testing::ElementsAre(0, 1, 2, 3, 4, 5, 6, 7));
}

TEST_F(VisionGolden, ATilesVectorsDoNotDependOnTheOthers) {
  const int64_t S = config.image_size;
  const Tensor tiles = test::randn({3, 3, S, S}, 1, device);
  const Tensor all = tower.encode(tiles);
  for (int64_t i = 0; i < 3; ++i) {
    EXPECT_TRUE(test::same_bits(tower.encode(tiles.rows(i, i + 1)), all.rows(4 * i, 4 * i + 4)));
  }
  EXPECT_EQ(tower.encode(tiles.rows(0, 0)).shape(), (Shape{0, 64}));
}

TEST_F(VisionGolden, RefusesOtherTiles) {
  EXPECT_THAT(
      [&] {
        tower.encode(test::randn({1, 3, 28, 56}, 1, device));
      },
      ::testing::ThrowsMessage<ShapeError>(
          ::testing::HasSubstr("[1, 3, 28, 56], needs f32 [tiles, 3, 56, 56]")));
}

TEST_F(VisionGolden, RecomputingBlocksChangesNoGradient) {
  const auto gradients = [&](bool recompute) {
    const VisionTower trained =
        VisionTower::trainable(config, initialise_vision(config, 1, device));
    const Tensor y = trained.encode(value("tiles"), {.recompute = recompute});
    autograd::backward(y, test::randn(y.shape(), 2, device));
    std::vector<Tensor> all;
    for (const NamedParameter& p : trained.parameters()) all.push_back(autograd::gradient(p.value));
    return all;
  };
  const auto kept = gradients(false);
  const auto again = gradients(true);
  for (size_t i = 0; i < kept.size(); ++i) EXPECT_TRUE(test::same_bits(kept[i], again[i])) << i;
}

}  // namespace
}  // namespace corral::model
