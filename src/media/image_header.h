#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "media/image.h"

namespace corral::media {

enum class ImageFormat { kJpeg, kPng, kWebp, kGif, kBmp };

std::string_view format_name(ImageFormat format);

/// What a picture's file says about it before anything is decoded.
struct ImageHeader {
  ImageFormat format = ImageFormat::kPng;
  int64_t width = 0;
  int64_t height = 0;
  int orientation = 1;      // as EXIF notes it
  int64_t components = 3;   // of a JPEG
  bool animated = false;    // of a WebP
  bool alpha_shows = true;  // false: the reference drops what transparency there is (PNG)
};

/// Recognises the format by its first bytes and reads the header. Throws NotSupported for another
/// format (naming those that there are), CorruptFile for a header that is cut or makes no sense, a
/// side of 0 included. Never reads beyond the file.
ImageHeader read_image_header(std::span<const std::byte> file, const std::string& name);

/// Throws NotSupported, naming the limit, when the file or the picture is beyond it.
void check_limits(const ImageHeader& header, int64_t file_bytes, const std::string& name,
                  const ImageLimits& limits);

}  // namespace corral::media
