#include "media/frame_pixels.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"

namespace corral::media {
namespace {

/// Exactly round(t / 255) for t = c a + 255 (255 - a), in the reference's integers.
uint8_t on_white(int colour, int alpha) {
  const int t = colour * alpha + 255 * (255 - alpha) + 128;
  return static_cast<uint8_t>((t + (t >> 8)) >> 8);
}

Image image_of(const AVFrame& frame) {
  Image image{frame.width, frame.height, {}};
  image.rgb.resize(static_cast<size_t>(image.width * image.height * 3));
  return image;
}

const uint8_t* row_of(const AVFrame& frame, int plane, int64_t y) {
  return frame.data[plane] + y * frame.linesize[plane];
}

Image pixels_of_palette(const AVFrame& frame, bool alpha_shows) {
  Image image = image_of(frame);
  uint8_t* to = image.rgb.data();
  for (int64_t y = 0; y < image.height; ++y) {
    const uint8_t* row = row_of(frame, 0, y);
    for (int64_t x = 0; x < image.width; ++x) {
      uint32_t argb = 0;
      std::memcpy(&argb, frame.data[1] + 4 * row[x], sizeof argb);
      const int alpha = alpha_shows ? static_cast<int>(argb >> 24) : 255;
      for (int shift = 16; shift >= 0; shift -= 8) {
        *to++ = on_white(static_cast<int>(argb >> shift & 0xFF), alpha);
      }
    }
  }
  return image;
}

uint8_t to_eight_bits(int value, int depth) {
  if (depth >= 8) return static_cast<uint8_t>(value >> (depth - 8));
  return static_cast<uint8_t>(value * 255 / ((1 << depth) - 1));
}

/// Component c of a row, as bytes `step` apart.
void read_component(const AVFrame& frame, const AVPixFmtDescriptor& format, int c, int64_t y,
                    std::vector<uint16_t>& scratch, uint8_t* to, int64_t step) {
  const AVComponentDescriptor& component = format.comp[c];
  const bool inverted = frame.format == AV_PIX_FMT_MONOWHITE;
  const bool bits = (format.flags & AV_PIX_FMT_FLAG_BITSTREAM) != 0;
  if (component.depth == 8 && component.shift == 0 && !bits) {
    const uint8_t* from = row_of(frame, component.plane, y) + component.offset;
    for (int64_t x = 0; x < frame.width; ++x) to[x * step] = from[x * component.step];
    return;
  }
  const uint8_t* planes[4] = {frame.data[0], frame.data[1], frame.data[2], frame.data[3]};
  av_read_image_line(scratch.data(), planes, frame.linesize, &format, 0, static_cast<int>(y), c,
                     frame.width, 0);
  for (int64_t x = 0; x < frame.width; ++x) {
    const uint8_t value = to_eight_bits(scratch[static_cast<size_t>(x)], component.depth);
    to[x * step] = inverted ? static_cast<uint8_t>(255 - value) : value;
  }
}

/// Chroma of the pixels of one row: [w] of u, then [w] of v.
class ChromaRow {
 public:
  explicit ChromaRow(const AVFrame& frame)
      : frame_(frame), columns_((frame.width + 1) / 2), rows_((frame.height + 1) / 2) {}

  uint8_t at(int plane, int64_t x, int64_t y) const {
    const int64_t near_row = y / 2;
    const int64_t far_row =
        std::clamp(y % 2 == 1 ? near_row + 1 : near_row - 1, int64_t{0}, rows_ - 1);
    const int64_t near = x / 2;
    const int64_t far = std::clamp(x % 2 == 1 ? near + 1 : near - 1, int64_t{0}, columns_ - 1);
    const uint8_t* row = row_of(frame_, plane, near_row);
    const uint8_t* other = row_of(frame_, plane, far_row);
    const int beside = row[far] + other[near];
    const int mixed = (row[near] + beside + other[far] + 8 + 2 * beside) >> 3;
    return static_cast<uint8_t>((mixed + row[near]) >> 1);
  }

 private:
  const AVFrame& frame_;
  int64_t columns_;
  int64_t rows_;
};

uint8_t clip_fixed(int value) { return static_cast<uint8_t>(std::clamp(value >> 6, 0, 255)); }

void write_yuv(int y, int u, int v, uint8_t* rgb) {
  const int luma = y * 19077 >> 8;
  rgb[0] = clip_fixed(luma + (v * 26149 >> 8) - 14234);
  rgb[1] = clip_fixed(luma - (u * 6419 >> 8) - (v * 13320 >> 8) + 8708);
  rgb[2] = clip_fixed(luma + (u * 33050 >> 8) - 17685);
}

}  // namespace

Image pixels_of_frame(const AVFrame& frame, bool alpha_shows, const std::string& name) {
  if (frame.format == AV_PIX_FMT_PAL8) return pixels_of_palette(frame, alpha_shows);
  const AVPixFmtDescriptor* format = av_pix_fmt_desc_get(static_cast<AVPixelFormat>(frame.format));
  const bool grey = format != nullptr && format->nb_components <= 2;
  if (format == nullptr || (!grey && (format->flags & AV_PIX_FMT_FLAG_RGB) == 0)) {
    throw NotSupported(
        str(name, ": pixels are stored as ", format != nullptr ? format->name : "nothing known"));
  }
  Image image = image_of(frame);
  const bool blend = alpha_shows && (format->flags & AV_PIX_FMT_FLAG_ALPHA) != 0;
  std::vector<uint16_t> scratch(static_cast<size_t>(image.width));
  std::vector<uint8_t> alpha(static_cast<size_t>(image.width));
  for (int64_t y = 0; y < image.height; ++y) {
    uint8_t* row = image.rgb.data() + y * image.width * 3;
    for (int c = 0; c < 3; ++c)
      read_component(frame, *format, grey ? 0 : c, y, scratch, row + c, 3);
    if (!blend) continue;
    read_component(frame, *format, format->nb_components - 1, y, scratch, alpha.data(), 1);
    for (int64_t i = 0; i < image.width * 3; ++i)
      row[i] = on_white(row[i], alpha[static_cast<size_t>(i / 3)]);
  }
  return image;
}

Image pixels_of_webp_frame(const AVFrame& frame) {
  Image image = image_of(frame);
  const ChromaRow chroma(frame);
  const bool alpha = frame.format == AV_PIX_FMT_YUVA420P;
  for (int64_t y = 0; y < image.height; ++y) {
    uint8_t* rgb = image.rgb.data() + y * image.width * 3;
    const uint8_t* luma = row_of(frame, 0, y);
    for (int64_t x = 0; x < image.width; ++x, rgb += 3) {
      write_yuv(luma[x], chroma.at(1, x, y), chroma.at(2, x, y), rgb);
      if (!alpha) continue;
      const int a = row_of(frame, 3, y)[x];
      for (int c = 0; c < 3; ++c) rgb[c] = on_white(rgb[c], a);
    }
  }
  return image;
}

Image pixels_of_rgba(const uint8_t* rgba, int64_t width, int64_t height) {
  Image image{width, height, {}};
  image.rgb.reserve(static_cast<size_t>(width * height * 3));
  for (const uint8_t* end = rgba + width * height * 4; rgba != end; rgba += 4) {
    for (int c = 0; c < 3; ++c) image.rgb.push_back(on_white(rgba[c], rgba[3]));
  }
  return image;
}

}  // namespace corral::media
