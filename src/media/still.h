#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "media/image.h"
#include "media/image_header.h"

namespace corral::media {

/// Decodes a PNG, WebP, GIF or BMP with FFmpeg's decoders, without its demuxers. Throws CorruptFile
/// when the file is damaged or cut, NotSupported for a variant that FFmpeg does not know.
Image decode_still(std::span<const std::byte> file, const ImageHeader& header,
                   const ImageLimits& limits, const std::string& name);

}  // namespace corral::media
