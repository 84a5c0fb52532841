// Formats and pixel layouts beyond the goldens.
#include <turbojpeg.h>

#include "media/png_writer.h"
#include "media/support.h"

namespace corral::media {
namespace {

std::string file(const std::string& name) { return read_bytes(test::data_dir() / "media" / name); }

// The hashes are of the pixels that libwebp's `dwebp -nodither` writes, put on white.
TEST(DecodeImage, MatchesLibwebpInWebp) {
  EXPECT_EQ(sha256_of(decode(file("lossy.webp")).rgb),
            "fdec3a9a405984b4a6454d64e02af1055d835d2b264cba14789474ca97c24e90");
  EXPECT_EQ(sha256_of(decode(file("lossy_alpha.webp")).rgb),
            "9223898d569ba22851b892e7b85e02162867c924206a2bf51d243f16d0472cb4");
  EXPECT_EQ(sha256_of(decode(file("lossless.webp")).rgb),
            "a997238b7e094d72b249da01749538db0b8ae51ba34a70d92c4e6ce281e0754d");
}

TEST(DecodeImage, KeepsTheUpperEightOfSixteenBits) {
  using Pixels = std::vector<uint8_t>;
  const auto big = [](std::initializer_list<int> values) {
    std::string row;
    for (const int v : values) row += {static_cast<char>(v >> 8), static_cast<char>(v & 0xFF)};
    return row;
  };
  EXPECT_EQ(decode(png(2, 1, 16, PngColour::kGrey, {big({0x12FF, 0xFE00})})).rgb,
            (Pixels{0x12, 0x12, 0x12, 0xFE, 0xFE, 0xFE}));
  EXPECT_EQ(decode(png(1, 1, 16, PngColour::kRgb, {big({0x0180, 0x80FF, 0xFFFF})})).rgb,
            (Pixels{0x01, 0x80, 0xFF}));
  // Grey with alpha: alpha is dropped; RGBA goes on white.
  EXPECT_EQ(decode(png(1, 1, 16, PngColour::kGreyAlpha, {big({0x4000, 0x0000})})).rgb,
            (Pixels{0x40, 0x40, 0x40}));
  EXPECT_EQ(decode(png(1, 1, 16, PngColour::kRgba, {big({0x4000, 0x4000, 0x4000, 0x0000})})).rgb,
            (Pixels{255, 255, 255}));
}

TEST(DecodeImage, StretchesFewBits) {
  using Pixels = std::vector<uint8_t>;
  EXPECT_EQ(decode(png(4, 1, 2, PngColour::kGrey, {"\x1B"})).rgb,  // 0 1 2 3
            (Pixels{0, 0, 0, 85, 85, 85, 170, 170, 170, 255, 255, 255}));
  EXPECT_EQ(decode(png(2, 1, 4, PngColour::kGrey, {"\xF3"})).rgb,
            (Pixels{255, 255, 255, 51, 51, 51}));
  EXPECT_EQ(decode(png(2, 1, 1, PngColour::kGrey, {"\x40"})).rgb, (Pixels{0, 0, 0, 255, 255, 255}));
}

std::string bmp(int32_t height, const std::string& pixels) {
  const auto u32 = [](int64_t v) {
    std::string text;
    for (int i = 0; i < 4; ++i) text += static_cast<char>(v >> (8 * i) & 0xFF);
    return text;
  };
  const std::string planes("\1\0\x18\0", 4);  // one plane of 24 bits
  const auto bytes = static_cast<int64_t>(54 + pixels.size());
  return "BM" + u32(bytes) + u32(0) + u32(54) + u32(40) + u32(1) + u32(height) + planes + u32(0) +
         u32(static_cast<int64_t>(pixels.size())) + u32(0) + u32(0) + u32(0) + u32(0) + pixels;
}

TEST(DecodeImage, ReadsBmpFromBelowAndFromAbove) {
  const std::string rows("\1\2\3\0\4\5\6\0", 8);  // blue, green, red, padding
  EXPECT_EQ(decode(bmp(2, rows)).rgb, (std::vector<uint8_t>{6, 5, 4, 3, 2, 1}));
  EXPECT_EQ(decode(bmp(-2, rows)).rgb, (std::vector<uint8_t>{3, 2, 1, 6, 5, 4}));
}

std::string jpeg(const std::vector<uint8_t>& pixels, int width, int height, int layout,
                 int chroma) {
  unsigned char* data = nullptr;
  unsigned long size_bytes = 0;
  void* writer = tjInitCompress();
  EXPECT_EQ(tjCompress2(writer, pixels.data(), width, 0, height, layout, &data, &size_bytes, chroma,
                        100, TJFLAG_ACCURATEDCT),
            0);
  std::string text(reinterpret_cast<char*>(data), size_bytes);
  tjFree(data);
  tjDestroy(writer);
  return text;
}

TEST(DecodeImage, PrintsCmykJpegs) {
  // Stored inverted: no cyan, a quarter of magenta, all yellow, half black.
  std::vector<uint8_t> pixels;
  for (int i = 0; i < 64; ++i) pixels.insert(pixels.end(), {255, 191, 0, 128});
  const Image image = decode(jpeg(pixels, 8, 8, TJPF_CMYK, TJSAMP_444));
  ASSERT_EQ(image.rgb.size(), 192);
  EXPECT_NEAR(image.rgb[0], 128, 2);
  EXPECT_NEAR(image.rgb[1], 191 * 128 / 255, 2);
  EXPECT_NEAR(image.rgb[2], 0, 2);
}

TEST(DecodeImage, ReadsGreyJpegs) {
  const Image image = decode(jpeg(std::vector<uint8_t>(64, 77), 8, 8, TJPF_GRAY, TJSAMP_GRAY));
  EXPECT_EQ(image.rgb, std::vector<uint8_t>(192, 77));
}

TEST(DecodeImage, TakesTheFirstFrameOfAGif) {
  const Image image = decode(file("seconds.gif"));
  EXPECT_EQ(image.width, 16);
  EXPECT_EQ(image.height, 12);
  EXPECT_NEAR(image.rgb[0], 30, 4);
}

TEST(DecodeImage, TakesTheFirstFrameOfAnAnimatedWebp) {
  EXPECT_EQ(decode(file("seconds.webp")).rgb, decode(file("seconds.gif")).rgb);
  const Image image = decode(file("layers.webp"));
  EXPECT_EQ(image.width, 8);
  EXPECT_EQ(image.height, 6);
  for (size_t i = 0; i < image.rgb.size(); ++i) ASSERT_EQ(image.rgb[i], i % 3 == 0 ? 200 : 0);
  EXPECT_THROW(decode(file("layers.webp").substr(0, 150)), CorruptFile);
}

}  // namespace
}  // namespace corral::media
