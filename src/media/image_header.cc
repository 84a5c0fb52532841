#include "media/image_header.h"

#include "media/byte_view.h"
#include "media/orientation.h"

namespace corral::media {
namespace {

constexpr std::string_view kPngSignature("\x89PNG\r\n\x1a\n", 8);
constexpr std::string_view kExifSignature("Exif\0\0", 6);

/// The frame header of a JPEG: SOF0 to SOF15 without DHT, JPG and DAC, which lie between.
/// Source: ITU-T T.81, annex B.
bool is_frame(int64_t marker) {
  return marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 && marker != 0xCC;
}

bool stands_alone(int64_t marker) { return marker == 0x01 || (marker >= 0xD0 && marker <= 0xD8); }

ImageHeader jpeg_header(const ByteView& file) {
  constexpr int64_t kScan = 0xDA;
  constexpr int64_t kEnd = 0xD9;
  constexpr int64_t kApp1 = 0xE1;
  ImageHeader header;
  header.format = ImageFormat::kJpeg;
  bool framed = false;
  for (int64_t at = 2;;) {
    if (file.u8(at) != 0xFF) {  // decoders skip what stands between segments
      ++at;
      continue;
    }
    const int64_t marker = file.u8(at + 1);
    if (marker == 0xFF || marker == 0x00) {  // filling
      ++at;
      continue;
    }
    if (marker == kScan || marker == kEnd) break;
    at += 2;
    if (stands_alone(marker)) continue;
    const int64_t length = file.u16be(at);
    if (length < 2) file.fail("a JPEG segment has no length");
    if (is_frame(marker) && !framed) {
      framed = true;
      header.height = file.u16be(at + 3);
      header.width = file.u16be(at + 5);
      header.components = file.u8(at + 7);
    }
    if (marker == kApp1 && file.starts_with(at + 2, kExifSignature)) {
      const int64_t begin = 2 + static_cast<int64_t>(kExifSignature.size());
      header.orientation = exif_orientation(file.window(at + begin, length - begin));
    }
    at += length;
  }
  if (!framed) file.fail("the JPEG has no frame header");
  return header;
}

ImageHeader png_header(const ByteView& file) {
  constexpr int64_t kRgba = 6;
  ImageHeader header;
  header.format = ImageFormat::kPng;
  if (!file.starts_with(12, "IHDR")) file.fail("the PNG does not begin with its header");
  header.width = file.u32be(16);
  header.height = file.u32be(20);
  header.alpha_shows = file.u8(25) == kRgba;
  for (int64_t at = 8; file.holds(at, 12);) {
    const int64_t length = file.u32be(at);
    if (file.starts_with(at + 4, "eXIf") && file.holds(at + 8, length)) {
      header.orientation = exif_orientation(file.window(at + 8, length));
    }
    at += 12 + length;
  }
  return header;
}

/// Source: RFC 9649.
ImageHeader webp_header(const ByteView& file) {
  constexpr int64_t kAnimated = 2;  // flag of VP8X
  ImageHeader header;
  header.format = ImageFormat::kWebp;
  if (!file.holds(8, file.u32le(4))) file.fail("the file ends too early");
  int64_t picture = 0;  // where VP8X, VP8 or VP8L begins
  for (int64_t at = 12; file.holds(at, 8);) {
    const int64_t length = file.u32le(at + 4);
    if (picture == 0 && file.starts_with(at, "VP8")) picture = at;
    if (file.starts_with(at, "EXIF") && file.holds(at + 8, length)) {
      header.orientation = exif_orientation(file.window(at + 8, length));
    }
    at += 8 + length + length % 2;
  }
  const int64_t data = picture + 8;
  if (file.starts_with(picture, "VP8X")) {
    header.animated = (file.u8(data) & kAnimated) != 0;
    header.width = file.u24le(data + 4) + 1;
    header.height = file.u24le(data + 7) + 1;
  } else if (file.starts_with(picture, "VP8L")) {
    const int64_t bits = file.u32le(data + 1);
    header.width = (bits & 0x3FFF) + 1;
    header.height = (bits >> 14 & 0x3FFF) + 1;
  } else if (file.starts_with(picture, "VP8 ")) {
    header.width = file.u16le(data + 6) & 0x3FFF;
    header.height = file.u16le(data + 8) & 0x3FFF;
  } else {
    file.fail("the WebP holds no picture");
  }
  return header;
}

/// Walks to the first picture and over its data, so that a cut file is known before decoding:
/// the decoder would show the rest as background. Source: GIF89a, sections 17 to 26.
void check_gif_data(const ByteView& file) {
  constexpr int64_t kPicture = 0x2C;
  constexpr int64_t kExtension = 0x21;
  const auto colours = [&](int64_t flags) {
    return (flags & 0x80) != 0 ? int64_t{3} << ((flags & 7) + 1) : int64_t{0};
  };
  const auto skip_blocks = [&](int64_t at) {
    while (file.u8(at) != 0) at += 1 + file.u8(at);
    return at + 1;
  };
  int64_t at = 13 + colours(file.u8(10));
  while (file.u8(at) == kExtension) at = skip_blocks(at + 2);
  if (file.u8(at) != kPicture) file.fail("the GIF holds no picture");
  skip_blocks(at + 10 + colours(file.u8(at + 9)) + 1);
}

ImageHeader gif_header(const ByteView& file) {
  ImageHeader header;
  header.format = ImageFormat::kGif;
  header.width = file.u16le(6);
  header.height = file.u16le(8);
  check_gif_data(file);
  return header;
}

ImageHeader bmp_header(const ByteView& file) {
  constexpr int64_t kOldHeader = 12;
  ImageHeader header;
  header.format = ImageFormat::kBmp;
  if (file.u32le(14) == kOldHeader) {
    header.width = file.u16le(18);
    header.height = file.u16le(20);
  } else {
    header.width = static_cast<int32_t>(file.u32le(18));
    const int64_t height = static_cast<int32_t>(file.u32le(22));
    header.height = height < 0 ? -height : height;  // negative: the top row comes first
  }
  return header;
}

ImageHeader header_of(const ByteView& file) {
  if (file.starts_with(0, "\xFF\xD8\xFF")) return jpeg_header(file);
  if (file.starts_with(0, kPngSignature)) return png_header(file);
  if (file.starts_with(0, "RIFF") && file.starts_with(8, "WEBP")) return webp_header(file);
  if (file.starts_with(0, "GIF87a") || file.starts_with(0, "GIF89a")) return gif_header(file);
  if (file.starts_with(0, "BM")) return bmp_header(file);
  throw NotSupported(
      str(file.name(), ": not a picture that can be read (JPEG, PNG, WebP, GIF or BMP)"));
}

}  // namespace

std::string_view format_name(ImageFormat format) {
  switch (format) {
    case ImageFormat::kJpeg:
      return "JPEG";
    case ImageFormat::kPng:
      return "PNG";
    case ImageFormat::kWebp:
      return "WebP";
    case ImageFormat::kGif:
      return "GIF";
    case ImageFormat::kBmp:
      return "BMP";
  }
  return "?";
}

ImageHeader read_image_header(std::span<const std::byte> file, const std::string& name) {
  const ByteView view(file, name);
  const ImageHeader header = header_of(view);
  if (header.width < 1 || header.height < 1) {
    view.fail(str("the ", format_name(header.format), " header says ", header.width, "x",
                  header.height, " pixels"));
  }
  return header;
}

void check_limits(const ImageHeader& header, int64_t file_bytes, const std::string& name,
                  const ImageLimits& limits) {
  const auto refuse = [&](const std::string& what) { throw NotSupported(str(name, ": ", what)); };
  if (file_bytes > limits.max_bytes) {
    refuse(str(file_bytes, " bytes, pictures may have ", limits.max_bytes));
  }
  const std::string pixels = str(header.width, "x", header.height, " pixels");
  if (header.width > limits.max_side || header.height > limits.max_side) {
    refuse(str(pixels, ", a side may have ", limits.max_side));
  }
  if (header.width > limits.max_pixels / header.height) {
    refuse(str(pixels, ", pictures may have ", limits.max_pixels));
  }
}

}  // namespace corral::media
