#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "media/image.h"
#include "media/image_header.h"

namespace corral::media {

/// Decodes a JPEG of any kind that libjpeg-turbo reads (baseline, progressive, arithmetic; grey,
/// YCbCr, RGB, CMYK, YCCK) into an image of the header's size. Throws CorruptFile with the
/// library's words; warnings about stray bytes are no error, a file that ends too early is.
Image decode_jpeg(std::span<const std::byte> file, const ImageHeader& header,
                  const std::string& name);

}  // namespace corral::media
