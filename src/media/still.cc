#include "media/still.h"

#include <algorithm>
#include <cstring>

#include "media/byte_view.h"
#include "media/ffmpeg.h"
#include "media/frame_pixels.h"

namespace corral::media {
namespace {

AVCodecID codec_of(ImageFormat format) {
  if (format == ImageFormat::kPng) return AV_CODEC_ID_PNG;
  if (format == ImageFormat::kWebp) return AV_CODEC_ID_WEBP;
  if (format == ImageFormat::kGif) return AV_CODEC_ID_GIF;
  return AV_CODEC_ID_BMP;
}

/// A PNG of the chunks that make the picture. The others can hold compressed text and profiles of
/// any size, animations, and transparency that the reference drops.
std::vector<std::byte> essential_png(std::span<const std::byte> file, const std::string& name) {
  const ByteView view(file, name);
  std::vector<std::byte> essence(file.begin(), file.begin() + 8);
  for (int64_t at = 8;;) {
    const int64_t length = view.u32be(at);
    const auto chunk = view.window(at, 12 + length);
    for (const std::string_view kept : {"IHDR", "PLTE", "IDAT", "IEND"}) {
      if (view.starts_with(at + 4, kept)) essence.insert(essence.end(), chunk.begin(), chunk.end());
    }
    if (view.starts_with(at + 4, "IEND")) return essence;
    at += 12 + length;
  }
}

FfmpegPtr<AVFrame> decode_frame(std::span<const std::byte> file, const ImageHeader& header,
                                const ImageLimits& limits, uint8_t fill, const std::string& name) {
  // The header's size is within the limits; decoders make room for whole blocks around the picture.
  constexpr int64_t kBlock = 128;
  const int64_t most =
      std::max(limits.max_pixels, (header.width + kBlock) * (header.height + kBlock));
  const auto decoder = make_decoder(codec_of(header.format), most, fill);
  const auto packet = packet_of(file);
  auto frame = owned(av_frame_alloc());
  int status = avcodec_open2(decoder.get(), nullptr, nullptr);
  if (status >= 0) status = avcodec_send_packet(decoder.get(), packet.get());
  if (status >= 0) status = avcodec_send_packet(decoder.get(), nullptr);
  if (status >= 0) status = avcodec_receive_frame(decoder.get(), frame.get());
  if (status == AVERROR(ENOMEM)) throw Error(str(name, ": no memory for the picture"));
  if (status == AVERROR_PATCHWELCOME) {
    throw NotSupported(
        str(name, ": a ", format_name(header.format), " of a kind that cannot be read"));
  }
  if (status < 0) {
    throw CorruptFile(str(name, ": not a whole ", format_name(header.format), " (",
                          status == AVERROR_EOF ? "no picture in it" : ffmpeg_message(status),
                          ")"));
  }
  if (frame->width != header.width || frame->height != header.height) {
    throw CorruptFile(str(name, ": the header says ", header.width, "x", header.height,
                          " pixels, the data ", frame->width, "x", frame->height));
  }
  return frame;
}

constexpr uint8_t kFill = 0xA5;
constexpr uint8_t kOtherFill = 0x5A;

/// True when one of the last two rows looks as it did before decoding. (In an interlaced PNG the
/// last row that is filled can be the last but one.)
bool looks_unfinished(const AVFrame& frame) {
  const int row_bytes =
      av_image_get_linesize(static_cast<AVPixelFormat>(frame.format), frame.width, 0);
  for (int y = std::max(frame.height - 2, 0); y < frame.height; ++y) {
    const uint8_t* row = frame.data[0] + static_cast<ptrdiff_t>(y) * frame.linesize[0];
    if (std::all_of(row, row + row_bytes, [](uint8_t byte) { return byte == kFill; })) return true;
  }
  return false;
}

}  // namespace

Image decode_still(std::span<const std::byte> file, const ImageHeader& header,
                   const ImageLimits& limits, const std::string& name) {
  const bool png = header.format == ImageFormat::kPng;
  const auto essence = png ? essential_png(file, name) : std::vector<std::byte>{};
  const auto data = png ? std::span<const std::byte>(essence) : file;
  const auto frame = decode_frame(data, header, limits, kFill, name);
  if (frame->format == AV_PIX_FMT_YUV420P || frame->format == AV_PIX_FMT_YUVA420P) {
    return pixels_of_webp_frame(*frame);
  }
  Image image = pixels_of_frame(*frame, header.alpha_shows, name);
  // The decoder does not say when compressed data ends before the last row. Such a row may be
  // pixels, or memory that nothing was written to: then another filling makes a difference.
  if (png && looks_unfinished(*frame)) {
    const auto again = decode_frame(data, header, limits, kOtherFill, name);
    if (pixels_of_frame(*again, header.alpha_shows, name).rgb != image.rgb) {
      throw CorruptFile(str(name, ": not a whole PNG (the data end before the last row)"));
    }
  }
  return image;
}

}  // namespace corral::media
