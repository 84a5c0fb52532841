#include "media/orientation.h"

#include <cstring>
#include <utility>

#include "media/byte_view.h"

namespace corral::media {
namespace {

constexpr int kUpright = 1;
constexpr int64_t kOrientationTag = 274;
constexpr int64_t kShort = 3;  // EXIF's 16-bit type
constexpr int64_t kEntryBytes = 12;

int find_orientation(const ByteView& tiff) {
  const bool little = tiff.starts_with(0, "II");
  if (!little && !tiff.starts_with(0, "MM")) return kUpright;
  const auto u16 = [&](int64_t at) { return little ? tiff.u16le(at) : tiff.u16be(at); };
  const auto u32 = [&](int64_t at) { return little ? tiff.u32le(at) : tiff.u32be(at); };
  if (u16(2) != 42) return kUpright;
  const int64_t directory = u32(4);
  const int64_t entries = u16(directory);
  for (int64_t i = 0; i < entries; ++i) {
    const int64_t entry = directory + 2 + i * kEntryBytes;
    if (u16(entry) != kOrientationTag) continue;
    const int64_t value = u16(entry + 8);
    return u16(entry + 2) == kShort && value >= 1 && value <= 8 ? static_cast<int>(value)
                                                                : kUpright;
  }
  return kUpright;
}

}  // namespace

int exif_orientation(std::span<const std::byte> tiff) {
  const std::string name = "EXIF";
  try {
    return find_orientation(ByteView(tiff, name));
  } catch (const CorruptFile&) {
    return kUpright;
  }
}

Image oriented(Image image, int orientation) {
  if (orientation < 1 || orientation > 8) {
    throw Error(str("orientation ", orientation, " is not from 1 to 8"));
  }
  if (orientation == kUpright) return image;
  // Seen pixel (x, y) is stored pixel (x', y') where x' and y' come from x and y, perhaps swapped,
  // each perhaps counted from the other end.
  const bool swapped = orientation >= 5;
  const bool from_right =
      orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
  const bool from_bottom =
      orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
  Image seen{swapped ? image.height : image.width, swapped ? image.width : image.height, {}};
  seen.rgb.resize(image.rgb.size());
  uint8_t* to = seen.rgb.data();
  for (int64_t y = 0; y < seen.height; ++y) {
    for (int64_t x = 0; x < seen.width; ++x, to += 3) {
      const int64_t along = swapped ? y : x;
      const int64_t down = swapped ? x : y;
      const int64_t column = from_right ? image.width - 1 - along : along;
      const int64_t row = from_bottom ? image.height - 1 - down : down;
      std::memcpy(to, image.rgb.data() + (row * image.width + column) * 3, 3);
    }
  }
  return seen;
}

}  // namespace corral::media
