#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace corral::media {

enum class PngColour { kGrey = 0, kRgb = 2, kPalette = 3, kGreyAlpha = 4, kRgba = 6 };

/// Big-endian, as PNG has its numbers.
inline std::string be32(uint32_t value) {
  std::string text;
  for (int shift = 24; shift >= 0; shift -= 8) text += static_cast<char>(value >> shift & 0xFF);
  return text;
}

/// The check of a chunk (ISO 3309, as RFC 2083 has it).
inline uint32_t crc32(const std::string& text) {
  uint32_t crc = 0xFFFFFFFF;
  for (const char c : text) {
    crc ^= static_cast<unsigned char>(c);
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320 : 0);
  }
  return ~crc;
}

inline std::string png_chunk(const std::string& type, const std::string& data) {
  return be32(static_cast<uint32_t>(data.size())) + type + data + be32(crc32(type + data));
}

inline std::string png_header(uint32_t width, uint32_t height, int depth, PngColour colour) {
  std::string header = be32(width) + be32(height);
  header += {static_cast<char>(depth), static_cast<char>(colour), 0, 0, 0};
  return "\x89PNG\r\n\x1a\n" + png_chunk("IHDR", header);
}

/// Rows as they are stored, without filter or compression. Fewer rows than `height` make a file
/// that is sound but for what its header says.
inline std::string png(uint32_t width, uint32_t height, int depth, PngColour colour,
                       const std::vector<std::string>& rows) {
  std::string data;
  for (const std::string& row : rows) data += '\0' + row;
  uint32_t a = 1;  // Adler-32
  uint32_t b = 0;
  for (const char c : data) {
    a = (a + static_cast<unsigned char>(c)) % 65521;
    b = (b + a) % 65521;
  }
  const auto length = static_cast<uint32_t>(data.size());  // below 65536: one stored block
  std::string zlib = "\x78\x01\x01";
  for (const uint32_t n : {length, ~length}) {
    zlib += {static_cast<char>(n & 0xFF), static_cast<char>(n >> 8 & 0xFF)};
  }
  zlib += data + be32(b << 16 | a);
  return png_header(width, height, depth, colour) + png_chunk("IDAT", zlib) + png_chunk("IEND", "");
}

}  // namespace corral::media
