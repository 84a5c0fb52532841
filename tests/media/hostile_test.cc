// Pictures that are not what they say.
#include "media/png_writer.h"
#include "media/support.h"

namespace corral::media {
namespace {

using testing::HasSubstr;

std::string refused(const std::string& file, const ImageLimits& limits = {}) {
  return message_of<NotSupported>([&] { decode_image(as_bytes(file), "picture", limits); });
}
std::string corrupt(const std::string& file) {
  return message_of<CorruptFile>([&] { decode(file); });
}

/// FACTS.md, section 5: denial of service by an image. Nothing of the picture's size is allocated.
TEST(HostileImage, IsRefusedForItsSizeBeforeDecodingFactsSection5) {
  EXPECT_THAT(refused(png_header(100'000, 1, 8, PngColour::kRgb)),
              HasSubstr("100000x1 pixels, a side may have 32768"));
  EXPECT_THAT(refused(png_header(30'000, 30'000, 8, PngColour::kRgb)),
              HasSubstr("30000x30000 pixels, pictures may have 100000000"));
  EXPECT_THAT(refused(png_header(0xFFFFFFFF, 0xFFFFFFFF, 8, PngColour::kRgb)),
              HasSubstr("4294967295x4294967295 pixels"));
  EXPECT_THAT(refused(read_bytes(golden("dog.jpg")), {.max_bytes = 1000}), HasSubstr("bytes"));
  EXPECT_THAT(refused(read_bytes(golden("dog.jpg")), {.max_pixels = 512 * 512 - 1}),
              HasSubstr("512x512 pixels"));
  std::string gif = "GIF89a\xFF\xFF\xFF\xFF";
  gif += std::string("\0\0\0,\0\0\0\0\1\0\1\0\0\2\0", 15);
  EXPECT_THAT(refused(gif), HasSubstr("65535x65535 pixels"));
}

TEST(Image, OfExactlyTheMostPixelsIsRead) {
  const std::string row(24, '\x7F');
  const std::string file = png(8, 8, 8, PngColour::kRgb, std::vector<std::string>(8, row));
  EXPECT_EQ(decode_image(as_bytes(file), "picture", {.max_pixels = 64}).width, 8);
  EXPECT_THAT(refused(file, {.max_pixels = 63}), HasSubstr("8x8 pixels"));
}

TEST(HostileImage, WithoutPixelsIsCorrupt) {
  EXPECT_THAT(corrupt(png_header(0, 5, 8, PngColour::kRgb)), HasSubstr("0x5 pixels"));
  EXPECT_THAT(corrupt(png_header(5, 0, 8, PngColour::kRgb)), HasSubstr("5x0 pixels"));
}

TEST(HostileImage, WithFewerRowsThanItSaysIsCorrupt) {
  const std::string row(12, '\x7F');
  EXPECT_EQ(decode(png(4, 3, 8, PngColour::kRgb, {row, row, row})).height, 3);
  EXPECT_THAT(corrupt(png(4, 3, 8, PngColour::kRgb, {row, row})), HasSubstr("not a whole PNG"));
  EXPECT_THAT(corrupt(png(4, 9, 8, PngColour::kRgb, {row})), HasSubstr("not a whole PNG"));
  // A row that looks like untouched memory is a row nevertheless.
  const std::string odd(12, '\xA5');
  EXPECT_EQ(decode(png(4, 2, 8, PngColour::kRgb, {odd, odd})).rgb, std::vector<uint8_t>(24, 0xA5));
}

TEST(HostileImage, JpegWithMoreRowsThanDataIsCorrupt) {
  std::string file = read_bytes(golden("dog.jpg"));
  const size_t frame = file.find("\xFF\xC0");
  ASSERT_NE(frame, std::string::npos);
  file[frame + 5] = 0x7F;  // the upper byte of the height
  EXPECT_THAT(corrupt(file), HasSubstr("not a whole JPEG"));
}

TEST(HostileImage, WithAFlippedBitInAPngIsCorrupt) {
  std::string file = read_bytes(golden("mode_rgba.png"));
  file[file.find("IDAT") + 20] ^= 4;
  EXPECT_THAT(corrupt(file), HasSubstr("not a whole PNG"));
}

TEST(HostileImage, CutAnywhereIsOneClearLine) {
  const std::filesystem::path folder = test::data_dir() / "media";
  const std::vector<std::filesystem::path> files = {
      golden("mode_rgba.png"),     golden("mode_p.png"),     golden("dog.jpg"),
      folder / "lossy_alpha.webp", folder / "lossless.webp", folder / "seconds.gif"};
  for (const auto& path : files) {
    const std::string whole = read_bytes(path);
    // The first picture of the GIF ends before the file does.
    const size_t end = path.extension() == ".gif" ? 60 : whole.size();
    const size_t step = std::max<size_t>(end / 97, 1);
    for (size_t size = 0; size < end; size += step) {
      const std::string message = message_of<Error>([&] { decode(whole.substr(0, size)); });
      EXPECT_FALSE(message.empty()) << path << " cut to " << size;
    }
  }
}

TEST(HostileImage, OfNoKnownFormatNamesThoseThatAre) {
  EXPECT_THAT(refused("<svg xmlns='http://www.w3.org/2000/svg'/>"),
              HasSubstr("JPEG, PNG, WebP, GIF or BMP"));
  EXPECT_THAT(refused(""), HasSubstr("not a picture that can be read"));
}

/// What is in the other chunks never reaches a decoder: here text that would inflate to gigabytes.
TEST(HostileImage, ChunksThatMakeNoPictureAreLeftOut) {
  std::string file = png(1, 1, 8, PngColour::kRgb, {"abc"});
  const size_t data = file.find("IDAT") - 4;
  file.insert(data, png_chunk("iCCP", std::string(1000, 'x')) +
                        png_chunk("zTXt", "no zlib at all") + png_chunk("acTL", "short"));
  EXPECT_EQ(decode(file).rgb, (std::vector<uint8_t>{'a', 'b', 'c'}));
}

}  // namespace
}  // namespace corral::media
