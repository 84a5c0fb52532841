#include "media/orientation.h"

#include "media/support.h"

namespace corral::media {
namespace {

/// Pixels numbered 1, 2, 3, ... as red; the rest is 0.
Image numbered(int64_t width, int64_t height) {
  Image image{width, height, std::vector<uint8_t>(static_cast<size_t>(width * height * 3))};
  for (int64_t i = 0; i < width * height; ++i)
    image.rgb[static_cast<size_t>(3 * i)] = static_cast<uint8_t>(i + 1);
  return image;
}

std::vector<int> numbers(const Image& image) {
  std::vector<int> numbers;
  for (size_t i = 0; i < image.rgb.size(); i += 3) numbers.push_back(image.rgb[i]);
  return numbers;
}

TEST(Oriented, TurnsAndMirrorsAsExifDefines) {
  // 1 2 3
  // 4 5 6
  const std::vector<std::vector<int>> seen = {
      {1, 2, 3, 4, 5, 6}, {3, 2, 1, 6, 5, 4}, {6, 5, 4, 3, 2, 1}, {4, 5, 6, 1, 2, 3},
      {1, 4, 2, 5, 3, 6}, {4, 1, 5, 2, 6, 3}, {6, 3, 5, 2, 4, 1}, {3, 6, 2, 5, 1, 4}};
  for (int orientation = 1; orientation <= 8; ++orientation) {
    const Image image = oriented(numbered(3, 2), orientation);
    EXPECT_EQ(image.width, orientation < 5 ? 3 : 2) << orientation;
    EXPECT_EQ(image.height, orientation < 5 ? 2 : 3) << orientation;
    EXPECT_EQ(numbers(image), seen[static_cast<size_t>(orientation - 1)]) << orientation;
  }
  EXPECT_THROW(oriented(numbered(1, 1), 0), Error);
  EXPECT_THROW(oriented(numbered(1, 1), 9), Error);
}

std::string exif(bool little, int orientation) {
  const auto number = [&](int64_t value, int bytes) {
    std::string text;
    for (int i = 0; i < bytes; ++i) {
      text += static_cast<char>(value >> (8 * (little ? i : bytes - 1 - i)) & 0xFF);
    }
    return text;
  };
  return (little ? "II" : "MM") + number(42, 2) + number(8, 4) + number(1, 2) + number(274, 2) +
         number(3, 2) + number(1, 4) + number(orientation, 2) + number(0, 2) + number(0, 4);
}

TEST(ExifOrientation, ReadsBothByteOrders) {
  for (const bool little : {false, true}) {
    for (int value = 1; value <= 8; ++value) {
      EXPECT_EQ(exif_orientation(as_bytes(exif(little, value))), value);
    }
    EXPECT_EQ(exif_orientation(as_bytes(exif(little, 9))), 1);
  }
}

TEST(ExifOrientation, IsUprightWhenTheNoteIsBroken) {
  const std::string whole = exif(true, 6);
  for (size_t size = 0; size < 20; ++size) {
    EXPECT_EQ(exif_orientation(as_bytes(whole.substr(0, size))), 1) << size;
  }
  std::string far = whole;
  far[4] = far[5] = far[6] = far[7] = '\xFF';  // the directory lies beyond the block
  EXPECT_EQ(exif_orientation(as_bytes(far)), 1);
}

TEST(DecodeImage, HonoursTheOrientationOfAJpegOnlyWhenAsked) {
  std::string file = read_bytes(golden("dog.jpg"));
  const std::string block = std::string("Exif\0\0", 6) + exif(false, 6);
  const auto length = static_cast<char>(block.size() + 2);
  file.insert(2, std::string("\xFF\xE1\0", 3) + length + block);
  const Image stored = decode(file, Orientation::kIgnore);
  const Image seen = decode(file, Orientation::kHonour);
  EXPECT_EQ(stored.rgb, decode(read_bytes(golden("dog.jpg"))).rgb);
  EXPECT_EQ(seen.rgb, oriented(stored, 6).rgb);
}

}  // namespace
}  // namespace corral::media
