// A picture file of any bytes: an Error, or a picture of the size it says, cut into tiles.
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/error.h"
#include "media/image.h"
#include "media/tiles.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace corral;
  // Small, so that time goes into parsing.
  constexpr media::ImageLimits kLimits{
      .max_bytes = 1 << 20, .max_pixels = 1 << 16, .max_side = 4096};
  static const DevicePtr device = Device::cpu({.threads = 1});
  try {
    const auto file = std::as_bytes(std::span(data, size));
    const media::Image image = media::decode_image(file, "fuzz", kLimits);
    if (image.width < 1 || image.height < 1) __builtin_trap();
    if (static_cast<int64_t>(image.rgb.size()) != image.width * image.height * 3) __builtin_trap();
    const auto tiled = media::tile_image(image, {.size = 28, .max_tiles = 4}, device);
    for (const float value : tiled.tiles.values<float>()) {
      if (!(value >= -1 && value <= 1)) __builtin_trap();
    }
  } catch (const Error&) {
  }
  return 0;
}
