#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace corral::media {

/// Pixels of a picture: 8 bit red, green, blue, row after row, [height, width, 3].
struct Image {
  int64_t width = 0;
  int64_t height = 0;
  std::vector<uint8_t> rgb;
};

/// What a picture may ask of the machine. Checked against the file's header, before any pixel is
/// decoded or any memory of the picture's size is taken.
struct ImageLimits {
  int64_t max_bytes = int64_t{256} << 20;  // of the file
  int64_t max_pixels = 100'000'000;
  int64_t max_side = 32'768;
};

/// Cameras store a picture as the sensor lies and note in EXIF how it was held. People see the
/// turned picture; the reference implementation ignores the note.
enum class Orientation { kHonour, kIgnore };

/// Decodes a JPEG, PNG, WebP, GIF or BMP file held in memory; of an animation, its first frame.
/// `name` stands in error messages.
///
/// The values are those of the reference (Pillow): JPEG as libjpeg-turbo decodes it with the exact
/// inverse transform and smooth chroma; an 8-bit channel is what is stored; of 16 bits the upper
/// eight; grey, palette and single bits become RGB; CMYK r = (255 - c)(255 - k) / 255. RGBA goes on
/// white: (t + (t >> 8)) >> 8 with t = c a + 255 (255 - a) + 128. Other kinds of transparency
/// (grey with alpha, palette, a transparent colour) are dropped in PNG, as the reference does;
/// transparent pixels of a GIF are white.
///
/// Throws CorruptFile for a damaged or cut file, NotSupported for another format or variant, and
/// for pictures beyond `limits`. Thread-safe; opens no other file and no connection.
Image decode_image(std::span<const std::byte> file, const std::string& name,
                   const ImageLimits& limits = {}, Orientation orientation = Orientation::kHonour);

}  // namespace corral::media
