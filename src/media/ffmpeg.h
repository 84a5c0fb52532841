#pragma once

// The only header that includes FFmpeg's: its objects with owners, and its limits.

extern "C" {
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/display.h>
#include <libavutil/imgutils.h>
#include <libavutil/pixdesc.h>
#include <libswscale/swscale.h>
}

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/error.h"

namespace corral::media {

struct FfmpegDelete {
  void operator()(AVCodecContext* codec) const { avcodec_free_context(&codec); }
  void operator()(AVFrame* frame) const { av_frame_free(&frame); }
  void operator()(AVPacket* packet) const { av_packet_free(&packet); }
  void operator()(SwsContext* scaler) const { sws_freeContext(scaler); }
};
template <class T>
using FfmpegPtr = std::unique_ptr<T, FfmpegDelete>;

/// The same pointer, or an Error when it is null.
template <class T>
FfmpegPtr<T> owned(T* object) {
  if (object == nullptr) throw Error("no memory for FFmpeg");
  return FfmpegPtr<T>(object);
}

/// Tells FFmpeg once, as it can be told for the whole process only: to write nothing to stderr
/// (what we have to say about a file stands in our errors), and to allocate no more than 512 MiB at
/// a time (a header of a few bytes asks for tables of gigabytes).
void tame_ffmpeg();

/// FFmpeg's words for a status, on one line.
std::string ffmpeg_message(int status);

/// A decoder of ours: writes nothing to stderr, refuses pictures of more than max_pixels, and
/// hands out frames whose memory was filled with `fill` before decoding, so that what a damaged
/// file leaves out is no memory of somebody else. Not open yet. Throws NotSupported when this
/// FFmpeg has no such decoder.
FfmpegPtr<AVCodecContext> make_decoder(AVCodecID id, int64_t max_pixels, uint8_t fill);

/// A packet holding a copy of the bytes, with the padding that decoders need.
FfmpegPtr<AVPacket> packet_of(std::span<const std::byte> bytes);

}  // namespace corral::media
