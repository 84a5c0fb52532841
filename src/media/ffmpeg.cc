#include "media/ffmpeg.h"

#include <array>
#include <cstring>
#include <mutex>

namespace corral::media {
namespace {

// A decoder carries a pointer for its owner: to one of these.
constexpr std::array<uint8_t, 256> kFills = [] {
  std::array<uint8_t, 256> fills{};
  for (size_t i = 0; i < fills.size(); ++i) fills[i] = static_cast<uint8_t>(i);
  return fills;
}();

int get_filled_buffer(AVCodecContext* codec, AVFrame* frame, int flags) {
  const int status = avcodec_default_get_buffer2(codec, frame, flags);
  if (status < 0) return status;
  const uint8_t fill = *static_cast<const uint8_t*>(codec->opaque);
  for (const AVBufferRef* buffer : frame->buf) {
    if (buffer != nullptr) std::memset(buffer->data, fill, buffer->size);
  }
  return status;
}

}  // namespace

void tame_ffmpeg() {
  static std::once_flag once;
  std::call_once(once, [] {
    av_log_set_level(AV_LOG_QUIET);
    av_max_alloc(size_t{512} << 20);
  });
}

std::string ffmpeg_message(int status) {
  char text[AV_ERROR_MAX_STRING_SIZE] = {};
  av_strerror(status, text, sizeof text);
  return text;
}

FfmpegPtr<AVCodecContext> make_decoder(AVCodecID id, int64_t max_pixels, uint8_t fill) {
  tame_ffmpeg();
  const AVCodec* codec = avcodec_find_decoder(id);
  if (codec == nullptr) {
    throw NotSupported(str("this FFmpeg library has no decoder for ", avcodec_get_name(id)));
  }
  auto context = owned(avcodec_alloc_context3(codec));
  context->max_pixels = max_pixels;
  context->thread_count = 1;
  context->err_recognition = AV_EF_CRCCHECK | AV_EF_EXPLODE;
  context->get_buffer2 = get_filled_buffer;
  context->opaque = const_cast<uint8_t*>(&kFills[fill]);
  return context;
}

FfmpegPtr<AVPacket> packet_of(std::span<const std::byte> bytes) {
  auto packet = owned(av_packet_alloc());
  if (bytes.size() > INT32_MAX - AV_INPUT_BUFFER_PADDING_SIZE ||
      av_new_packet(packet.get(), static_cast<int>(bytes.size())) < 0) {
    throw Error(str("no memory for ", bytes.size(), " bytes"));
  }
  if (!bytes.empty()) std::memcpy(packet->data, bytes.data(), bytes.size());
  return packet;
}

}  // namespace corral::media
