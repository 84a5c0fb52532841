#include "media/resize.h"

#include "base/random.h"
#include "media/support.h"

namespace corral::media {
namespace {

Image noise(int64_t width, int64_t height, uint64_t seed) {
  Image image{width, height, {}};
  const Philox random(seed);
  for (int64_t i = 0; i < width * height * 3; ++i) {
    image.rgb.push_back(static_cast<uint8_t>(random.bits(static_cast<uint64_t>(i))));
  }
  return image;
}

TEST(Resize, MatchesTheReferenceOnEveryInstructionSet) {
  auto tensors = read_golden_tensors(golden("resize.safetensors"));
  int64_t cases = 0;
  for (const auto& [name, in] : tensors) {
    if (!name.ends_with(".in")) continue;
    const GoldenTensor& out = tensors.at(name.substr(0, name.size() - 3) + ".out");
    const Image image{in.shape[1], in.shape[0], {in.bytes.begin(), in.bytes.end()}};
    for (const simd::Isa isa : test::machine_isas()) {
      ThreadPool threads(2);
      const Image resized = resize(image, out.shape[1], out.shape[0], threads, isa);
      EXPECT_EQ(resized.rgb, std::vector<uint8_t>(out.bytes.begin(), out.bytes.end()))
          << name << " " << simd::isa_name(isa);
    }
    ++cases;
  }
  EXPECT_GT(cases, 0);
}

/// The definition in the header's comment, one output at a time.
std::vector<uint8_t> line(const std::vector<uint8_t>& from, int64_t out) {
  const auto in = static_cast<int64_t>(from.size());
  const double scale = static_cast<double>(in) / static_cast<double>(out);
  const double support = std::max(scale, 1.0);
  std::vector<uint8_t> to;
  for (int64_t i = 0; i < out; ++i) {
    const double centre = (static_cast<double>(i) + 0.5) * scale;
    const auto begin = std::max<int64_t>(static_cast<int64_t>(centre - support + 0.5), 0);
    const auto end = std::min<int64_t>(static_cast<int64_t>(centre + support + 0.5), in);
    const auto weight = [&](int64_t x) {
      return std::max(0.0, 1 - std::abs((static_cast<double>(x) - centre + 0.5) * (1 / support)));
    };
    double sum = 0;
    for (int64_t x = begin; x < end; ++x) sum += weight(x);
    int64_t total = 1 << 21;
    for (int64_t x = begin; x < end; ++x) {
      total +=
          from[static_cast<size_t>(x)] * static_cast<int64_t>(weight(x) / sum * (1 << 22) + 0.5);
    }
    to.push_back(static_cast<uint8_t>(std::min<int64_t>(total >> 22, 255)));
  }
  return to;
}

Image by_definition(const Image& image, int64_t width, int64_t height) {
  Image wide{width, image.height, std::vector<uint8_t>(width * image.height * 3)};
  for (int64_t y = 0; y < image.height; ++y) {
    for (int64_t c = 0; c < 3; ++c) {
      std::vector<uint8_t> row;
      for (int64_t x = 0; x < image.width; ++x)
        row.push_back(image.rgb[(y * image.width + x) * 3 + c]);
      if (width != image.width) row = line(row, width);
      for (int64_t x = 0; x < width; ++x) wide.rgb[(y * width + x) * 3 + c] = row[x];
    }
  }
  Image out{width, height, std::vector<uint8_t>(width * height * 3)};
  for (int64_t i = 0; i < width * 3; ++i) {
    std::vector<uint8_t> column;
    for (int64_t y = 0; y < image.height; ++y) column.push_back(wide.rgb[y * width * 3 + i]);
    if (height != image.height) column = line(column, height);
    for (int64_t y = 0; y < height; ++y) out.rgb[y * width * 3 + i] = column[y];
  }
  return out;
}

TEST(Resize, FollowsItsDefinitionForOddSizes) {
  const int64_t sizes[][4] = {{1, 1, 5, 3},   {2, 7, 2, 3},    {7, 2, 3, 2},    {17, 13, 17, 13},
                              {33, 5, 1, 1},  {100, 3, 99, 4}, {5, 100, 7, 9},  {61, 47, 320, 11},
                              {400, 1, 3, 1}, {1, 300, 1, 17}, {64, 64, 21, 65}};
  uint64_t seed = 1;
  for (const auto& [w, h, to_w, to_h] : sizes) {
    const Image image = noise(w, h, seed++);
    const Image expected = by_definition(image, to_w, to_h);
    for (const simd::Isa isa : test::machine_isas()) {
      ThreadPool threads(2);
      EXPECT_EQ(resize(image, to_w, to_h, threads, isa).rgb, expected.rgb)
          << w << "x" << h << " to " << to_w << "x" << to_h << " " << simd::isa_name(isa);
    }
  }
}

TEST(Resize, WhiteStaysWhite) {
  for (const int64_t side : {1, 3, 50, 101, 333}) {
    const Image white{101, 77, std::vector<uint8_t>(101 * 77 * 3, 255)};
    ThreadPool threads(1);
    const Image out = resize(white, side, side, threads, simd::detect_isa());
    EXPECT_EQ(out.rgb, std::vector<uint8_t>(static_cast<size_t>(side * side * 3), 255)) << side;
  }
}

TEST(Resize, NamesSizesThatMakeNoSense) {
  ThreadPool threads(1);
  EXPECT_THROW(resize(noise(2, 2, 1), 0, 5, threads, simd::Isa::kPortable), ShapeError);
  EXPECT_THROW(resize({}, 5, 5, threads, simd::Isa::kPortable), ShapeError);
  EXPECT_THROW(resize({3, 3, {1, 2, 3}}, 5, 5, threads, simd::Isa::kPortable), ShapeError);
}

}  // namespace
}  // namespace corral::media
