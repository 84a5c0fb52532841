#include "media/image.h"

#include "media/image_header.h"
#include "media/jpeg.h"
#include "media/orientation.h"
#include "media/still.h"

namespace corral::media {

Image decode_image(std::span<const std::byte> file, const std::string& name,
                   const ImageLimits& limits, Orientation orientation) {
  const ImageHeader header = read_image_header(file, name);
  check_limits(header, static_cast<int64_t>(file.size()), name, limits);
  Image image = header.format == ImageFormat::kJpeg ? decode_jpeg(file, header, name)
                                                    : decode_still(file, header, limits, name);
  if (orientation == Orientation::kIgnore) return image;
  return oriented(std::move(image), header.orientation);
}

}  // namespace corral::media
