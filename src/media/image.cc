#include "media/image.h"

#include "media/image_header.h"
#include "media/jpeg.h"
#include "media/orientation.h"
#include "media/still.h"
#include "media/webp_animation.h"

namespace corral::media {
namespace {

Image decode_pixels(std::span<const std::byte> file, const ImageHeader& header,
                    const ImageLimits& limits, const std::string& name) {
  if (header.format == ImageFormat::kJpeg) return decode_jpeg(file, header, name);
  if (header.animated) return WebpAnimation(file, name).picture(0);
  return decode_still(file, header, limits, name);
}

}  // namespace

Image decode_image(std::span<const std::byte> file, const std::string& name,
                   const ImageLimits& limits, Orientation orientation) {
  const ImageHeader header = read_image_header(file, name);
  check_limits(header, static_cast<int64_t>(file.size()), name, limits);
  Image image = decode_pixels(file, header, limits, name);
  if (orientation == Orientation::kIgnore) return image;
  return oriented(std::move(image), header.orientation);
}

}  // namespace corral::media
