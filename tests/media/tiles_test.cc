#include "media/tiles.h"

#include <cmath>

#include "media/support.h"

namespace corral::media {
namespace {

TEST(PlanTiles, MatchesTheReferenceForEverySize) {
  const auto sizes = read_json(golden("sizes.json"));
  const TileOptions options{sizes["tile"], sizes["max_tiles"]};
  for (const auto& image : sizes["images"]) {
    const TilePlan plan = plan_tiles(image["width"], image["height"], options);
    EXPECT_EQ(plan.columns, image["tiles_across"]) << image;
    EXPECT_EQ(plan.rows, image["tiles_down"]) << image;
    EXPECT_EQ(plan.canvas_width, image["canvas_width"]) << image;
    EXPECT_EQ(plan.canvas_height, image["canvas_height"]) << image;
    EXPECT_EQ(plan.resized_width, image["resized_width"]) << image;
    EXPECT_EQ(plan.resized_height, image["resized_height"]) << image;
    EXPECT_EQ(plan.tiles(), image["tiles_with_global"]) << image;
  }
}

TEST(PlanTiles, StaysInsideTheCanvasForExtremeSides) {
  for (const auto& [w, h] : {std::pair{1, 1}, {1, 32768}, {32768, 1}, {10000, 10000}, {3, 20000}}) {
    const TilePlan plan = plan_tiles(w, h);
    EXPECT_GE(plan.resized_width, 1);
    EXPECT_GE(plan.resized_height, 1);
    EXPECT_LE(plan.resized_width, plan.canvas_width);
    EXPECT_LE(plan.resized_height, plan.canvas_height);
    EXPECT_LE(plan.rows * plan.columns, 16);
  }
}

TEST(PlanTiles, NamesOptionsOutOfRange) {
  EXPECT_THROW(plan_tiles(0, 5), ShapeError);
  EXPECT_THROW(plan_tiles(5, 5, {.size = 0}), UsageError);
  EXPECT_THROW(plan_tiles(5, 5, {.size = 336, .max_tiles = 0}), UsageError);
  EXPECT_THROW(plan_tiles(5, 5, {.size = 336, .max_tiles = 1025}), UsageError);
}

/// The bytes that a normalised tile was made from; fails when a value is not exactly one of 256.
std::vector<uint8_t> bytes_of_tile(const Tensor& tiles, int64_t tile) {
  const int64_t n = tiles.numel() / tiles.dim(0);
  const auto* from = tiles.data<float>() + tile * n;
  std::vector<uint8_t> bytes;
  int64_t wrong = 0;
  for (int64_t i = 0; i < n; ++i) {
    const long v = std::lround((from[i] * 0.5F + 0.5F) * 255.0F);
    bytes.push_back(static_cast<uint8_t>(v));
    if (from[i] != (static_cast<float>(v) / 255.0F - 0.5F) / 0.5F) ++wrong;
  }
  EXPECT_EQ(wrong, 0);
  return bytes;
}

std::optional<Image> golden_image(const std::string& file) {
  if (file == "dog_512x512.png") return decode(read_bytes(golden("dog.jpg")));
  if (std::filesystem::exists(golden(file))) return decode(read_bytes(golden(file)));
  if (!test::shared_dir()) return std::nullopt;
  return decode(read_bytes(*test::shared_dir() / "goldens/preprocess" / file));
}

TEST(TileImage, MatchesTheReferenceBitForBit) {
  const auto images = read_json(golden("images.json"));
  int64_t compared = 0;
  for (const auto& expected : images["images"]) {
    const auto image = golden_image(expected["file"]);
    if (!image) continue;  // the large pictures stay outside the repository
    EXPECT_EQ(sha256_of(image->rgb), expected["rgb_sha256"]);
    const TiledImage tiled = tile_image(*image, {}, test::test_device());
    EXPECT_EQ(tiled.rows, expected["tiles_down"]);
    EXPECT_EQ(tiled.columns, expected["tiles_across"]);
    ASSERT_EQ(tiled.tiles.dim(0), expected["tiles_with_global"]);
    for (int64_t t = 0; t < tiled.tiles.dim(0); ++t) {
      EXPECT_EQ(sha256_of(bytes_of_tile(tiled.tiles, t)), expected["tiles"][t]["u8_chw_sha256"])
          << expected["file"] << " tile " << t;
    }
    ++compared;
  }
  EXPECT_GE(compared, 2);
}

TEST(TileImage, MatchesTheReferencesNormalisedCrops) {
  if (!test::shared_dir()) GTEST_SKIP() << "needs ../shared/goldens/preprocess/images.safetensors";
  const auto tensors =
      read_golden_tensors(*test::shared_dir() / "goldens/preprocess/images.safetensors");
  const auto images = read_json(golden("images.json"));
  for (const auto& expected : images["images"]) {
    const std::string file = expected["file"];
    const GoldenTensor& crops = tensors.at(file + ".crops");
    const TiledImage tiled = tile_image(*golden_image(file), {}, test::test_device());
    const auto* pixels = tiled.tiles.data<float>();
    const auto* crop = reinterpret_cast<const float*>(crops.bytes.data());
    int64_t different = 0;
    for (int64_t t = 0; t < crops.shape[0]; ++t) {
      const int64_t y0 = expected["tiles"][t]["crop_y"];
      const int64_t x0 = expected["tiles"][t]["crop_x"];
      for (int64_t c = 0; c < 3; ++c) {
        for (int64_t y = 0; y < 32; ++y) {
          for (int64_t x = 0; x < 32; ++x) {
            const float got = pixels[((t * 3 + c) * 336 + y0 + y) * 336 + x0 + x];
            if (got != crop[((t * 3 + c) * 32 + y) * 32 + x]) ++different;
          }
        }
      }
    }
    EXPECT_EQ(different, 0) << file;
  }
}

/// FACTS.md, row 24: tiles in raster order and the whole picture last; a picture whose halves
/// differ tells left from right and top from bottom.
TEST(TileImage, KeepsRasterOrderWithTheWholeLastFactsRow24) {
  Image image{672, 672, std::vector<uint8_t>(672 * 672 * 3, 0)};
  for (int64_t y = 0; y < 672; ++y) {
    for (int64_t x = 0; x < 672; ++x) {
      image.rgb[static_cast<size_t>((y * 672 + x) * 3)] = x < 336 ? 0 : 255;
      image.rgb[static_cast<size_t>((y * 672 + x) * 3 + 1)] = y < 336 ? 0 : 255;
    }
  }
  const TiledImage tiled = tile_image(image, {}, test::test_device());
  ASSERT_EQ(tiled.tiles.dim(0), 5);
  for (int64_t t = 0; t < 4; ++t) {
    const auto bytes = bytes_of_tile(tiled.tiles, t);
    EXPECT_EQ(bytes[0], t % 2 == 0 ? 0 : 255) << t;          // red of the first pixel
    EXPECT_EQ(bytes[336 * 336], t / 2 == 0 ? 0 : 255) << t;  // green
  }
  const auto whole = bytes_of_tile(tiled.tiles, 4);
  EXPECT_EQ(whole.front(), 0);
  EXPECT_EQ(whole[335], 255);
  EXPECT_EQ(whole[336 * 336 + 335 * 336], 255);
}

TEST(TileImage, PadsWithBlackAtTheRightAndBelow) {
  const Image white{400, 40, std::vector<uint8_t>(400 * 40 * 3, 255)};
  const TiledImage tiled = tile_image(white, {.size = 64, .max_tiles = 4}, test::test_device());
  const auto first = bytes_of_tile(tiled.tiles, 0);
  EXPECT_EQ(first[0], 255);
  EXPECT_EQ(first[static_cast<size_t>((tiled.resized_height - 1) * 64)], 255);
  EXPECT_EQ(first[static_cast<size_t>(tiled.resized_height * 64)], 0);
}

TEST(TileImage, GivesTheSameBitsForAnyThreadsAndInstructionSet) {
  const Image image = decode(read_bytes(golden("dog.jpg")));
  const Tensor once = tile_image(image, {}, test::test_device(simd::Isa::kPortable, 1)).tiles;
  for (const simd::Isa isa : test::machine_isas()) {
    const Tensor again = tile_image(image, {}, test::test_device(isa, 3)).tiles;
    EXPECT_TRUE(test::same_bits(once, again)) << simd::isa_name(isa);
  }
}

}  // namespace
}  // namespace corral::media
