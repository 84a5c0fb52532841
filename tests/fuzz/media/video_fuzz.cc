// A video file of any bytes: an Error, or frames with times that grow.
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/error.h"
#include "media/video.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace corral;
  constexpr media::VideoLimits kLimits{.max_pixels = 1 << 14,
                                       .max_side = 1024,
                                       .max_frames = 4,
                                       .max_decoded = 50,
                                       .max_packets = 2000};
  try {
    const auto file = std::as_bytes(std::span(data, size));
    const auto frames = media::sample_video(file, "fuzz", {.frames = 3}, kLimits);
    if (frames.empty() || frames.size() > 3) __builtin_trap();
    for (const media::VideoFrame& frame : frames) {
      if (!(frame.seconds >= 0)) __builtin_trap();
      const media::Image& image = frame.image;
      if (static_cast<int64_t>(image.rgb.size()) != image.width * image.height * 3)
        __builtin_trap();
    }
  } catch (const Error&) {
  }
  return 0;
}
