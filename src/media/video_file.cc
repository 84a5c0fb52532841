#include "media/video_file.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "media/frame_pixels.h"
#include "media/orientation.h"

namespace corral::media {
namespace {

// Names as FFmpeg's whitelists take them.
constexpr const char* kFormats =
    "mov,matroska,avi,flv,mpegts,mpeg,ogg,asf,ivf,gif,h264,hevc,mpegvideo,m4v";
constexpr const char* kCodecs =
    "h264,hevc,libdav1d,libaom-av1,vp8,vp9,mpeg1video,mpeg2video,mpegvideo,mpeg4,h263,flv,theora,"
    "msmpeg4v1,msmpeg4v2,msmpeg4,wmv1,wmv2,wmv3,vc1,prores,mjpeg,gif";

constexpr int kInputBytes = 1 << 16;

int refuse_to_open(AVFormatContext*, AVIOContext**, const char*, int, AVDictionary**) {
  return AVERROR(EACCES);
}

double in_seconds(int64_t timestamp, AVRational unit) {
  return static_cast<double>(timestamp) * av_q2d(unit);
}

}  // namespace

void VideoFile::FreeInput::operator()(AVIOContext* input) const {
  av_freep(&input->buffer);
  avio_context_free(&input);
}

int VideoFile::read(void* reader, uint8_t* to, int size) {
  auto& from = *static_cast<Reader*>(reader);
  const int64_t left = static_cast<int64_t>(from.bytes.size()) - from.position;
  const int64_t count = std::min<int64_t>(size, left);
  if (count <= 0) return AVERROR_EOF;
  std::memcpy(to, from.bytes.data() + from.position, static_cast<size_t>(count));
  from.position += count;
  return static_cast<int>(count);
}

int64_t VideoFile::seek(void* reader, int64_t offset, int whence) {
  auto& from = *static_cast<Reader*>(reader);
  const auto size_bytes = static_cast<int64_t>(from.bytes.size());
  if ((whence & AVSEEK_SIZE) != 0) return size_bytes;
  int64_t base = 0;
  switch (whence & ~AVSEEK_FORCE) {
    case SEEK_SET:
      break;
    case SEEK_CUR:
      base = from.position;
      break;
    case SEEK_END:
      base = size_bytes;
      break;
    default:
      return AVERROR(EINVAL);
  }
  if (offset < -base || offset > size_bytes - base) return AVERROR(EINVAL);
  from.position = base + offset;
  return from.position;
}

VideoFile::VideoFile(std::span<const std::byte> file, std::string name, const VideoLimits& limits,
                     int threads)
    : name_(std::move(name)), limits_(limits), reader_{file} {
  tame_ffmpeg();
  open_format();
  open_decoder(threads);
}

VideoFile::~VideoFile() = default;

void VideoFile::open_format() {
  auto* buffer = static_cast<uint8_t*>(av_malloc(kInputBytes));
  input_.reset(avio_alloc_context(buffer, kInputBytes, 0, &reader_, read, nullptr, seek));
  AVFormatContext* format = avformat_alloc_context();
  if (buffer == nullptr || !input_ || format == nullptr) throw Error("no memory for FFmpeg");
  format->pb = input_.get();
  format->flags |= AVFMT_FLAG_CUSTOM_IO;
  format->io_open = refuse_to_open;
  format->max_streams = 64;
  format->max_probe_packets = 500;
  format->format_whitelist = av_strdup(kFormats);
  format->codec_whitelist = av_strdup(kCodecs);
  format->protocol_whitelist = av_strdup("none");
  // Takes the context back when it fails.
  if (avformat_open_input(&format, "", nullptr, nullptr) < 0) {
    throw NotSupported(str(name_, ": not a video that can be read"));
  }
  format_.reset(format);
  const int found = avformat_find_stream_info(format, nullptr);
  const int index =
      found < 0 ? found : av_find_best_stream(format, AVMEDIA_TYPE_VIDEO, -1, -1, nullptr, 0);
  if (index < 0) throw CorruptFile(str(name_, ": there is no video in the file"));
  for (unsigned i = 0; i < format->nb_streams; ++i) {
    if (static_cast<int>(i) != index) format->streams[i]->discard = AVDISCARD_ALL;
  }
  stream_ = format->streams[index];
}

void VideoFile::open_decoder(int threads) {
  const AVCodecParameters& parameters = *stream_->codecpar;
  if (parameters.width > limits_.max_side || parameters.height > limits_.max_side ||
      int64_t{parameters.width} * parameters.height > limits_.max_pixels) {
    throw NotSupported(str(name_, ": frames of ", parameters.width, "x", parameters.height,
                           " pixels, they may have ", limits_.max_pixels, " and sides of ",
                           limits_.max_side));
  }
  decoder_ = make_decoder(parameters.codec_id, limits_.max_pixels, 0);
  decoder_->err_recognition = 0;  // a video with a flaw is better than none
  decoder_->thread_count = threads;
  decoder_->codec_whitelist = av_strdup(kCodecs);
  decoder_->pkt_timebase = stream_->time_base;
  packet_ = owned(av_packet_alloc());
  if (avcodec_parameters_to_context(decoder_.get(), &parameters) < 0 ||
      avcodec_open2(decoder_.get(), nullptr, nullptr) < 0) {
    throw NotSupported(str(name_, ": frames in ", avcodec_get_name(parameters.codec_id),
                           ", which cannot be read"));
  }
}

double VideoFile::duration_seconds() const {
  double seconds = 0;
  if (stream_->duration > 0) {
    seconds = in_seconds(stream_->duration, stream_->time_base);
  } else if (format_->duration > 0) {
    seconds = in_seconds(format_->duration, AVRational{1, AV_TIME_BASE});
  }
  return std::isfinite(seconds) && seconds > 0 ? seconds : 0;
}

double VideoFile::find_last_seconds() {
  double last = 0;
  while (read_packet()) {
    if (packet_->pts != AV_NOPTS_VALUE) last = std::max(last, seconds_of(packet_->pts));
  }
  return last;
}

double VideoFile::seconds_of(int64_t timestamp) const {
  double seconds = in_seconds(timestamp, stream_->time_base);
  if (stream_->start_time != AV_NOPTS_VALUE) {
    seconds -= in_seconds(stream_->start_time, stream_->time_base);
  }
  return std::isfinite(seconds) ? seconds : 0;
}

bool VideoFile::worth_a_jump(double now, double seconds) const {
  constexpr double kFarSeconds = 10;  // where the file does not list its key frames
  if (seconds <= now) return false;
  if (avformat_index_get_entries_count(stream_) == 0) return seconds - now > kFarSeconds;
  const double unit = av_q2d(stream_->time_base);
  const auto timestamp = static_cast<int64_t>(std::min(seconds / unit, 0x1p62));
  const AVIndexEntry* entry =
      avformat_index_get_entry_from_timestamp(stream_, timestamp, AVSEEK_FLAG_BACKWARD);
  return entry != nullptr && seconds_of(entry->timestamp) > now;
}

void VideoFile::jump(double seconds) {
  const double unit = av_q2d(stream_->time_base);
  int64_t timestamp = static_cast<int64_t>(std::min(seconds / unit, 0x1p61));
  if (stream_->start_time != AV_NOPTS_VALUE && std::abs(stream_->start_time) < (int64_t{1} << 61)) {
    timestamp += stream_->start_time;
  }
  if (av_seek_frame(format_.get(), stream_->index, timestamp, AVSEEK_FLAG_BACKWARD) < 0) return;
  avcodec_flush_buffers(decoder_.get());
  drained_ = false;
}

/// A packet of the video; false at the end.
bool VideoFile::read_packet() {
  for (;;) {
    av_packet_unref(packet_.get());
    if (++packets_ > limits_.max_packets) {
      throw NotSupported(str(name_, ": more than ", limits_.max_packets, " packets"));
    }
    if (av_read_frame(format_.get(), packet_.get()) < 0) return false;
    if (packet_->stream_index == stream_->index) return true;
  }
}

/// Gives the decoder what comes next; false when it already has everything.
bool VideoFile::feed() {
  if (drained_) return false;
  if (read_packet()) {
    avcodec_send_packet(decoder_.get(), packet_.get());  // a bad packet gives no frame
  } else {
    drained_ = true;
    avcodec_send_packet(decoder_.get(), nullptr);
  }
  return true;
}

VideoFile::Frame VideoFile::next() {
  auto frame = owned(av_frame_alloc());
  for (;;) {
    const int status = avcodec_receive_frame(decoder_.get(), frame.get());
    if (status == AVERROR(ENOMEM)) throw Error(str(name_, ": no memory for a frame"));
    if (status >= 0) break;
    if (!feed()) return {};
  }
  if (++decoded_ > limits_.max_decoded) {
    throw NotSupported(str(name_, ": more than ", limits_.max_decoded,
                           " frames to decode; it needs key frames nearer to one another"));
  }
  if (frame->best_effort_timestamp != AV_NOPTS_VALUE) {
    last_seconds_ = seconds_of(frame->best_effort_timestamp);
  } else {
    const double rate = av_q2d(av_guess_frame_rate(format_.get(), stream_, frame.get()));
    last_seconds_ += rate > 0 && std::isfinite(rate) ? 1 / rate : 0.04;
  }
  return {last_seconds_, std::move(frame)};
}

int VideoFile::orientation() const {
  size_t size_bytes = 0;
  const uint8_t* data = av_stream_get_side_data(stream_, AV_PKT_DATA_DISPLAYMATRIX, &size_bytes);
  if (data == nullptr || size_bytes < 9 * sizeof(int32_t)) return 1;
  int32_t matrix[9];
  std::memcpy(matrix, data, sizeof matrix);
  const double angle = -av_display_rotation_get(matrix);  // clockwise
  if (!std::isfinite(angle)) return 1;
  constexpr int kTurned[] = {1, 6, 3, 8};  // by quarters
  return kTurned[((std::lround(angle / 90) % 4) + 4) % 4];
}

/// With square pixels.
int64_t VideoFile::shown_width(const AVFrame& frame) const {
  const AVRational aspect =
      frame.sample_aspect_ratio.num > 0 ? frame.sample_aspect_ratio : stream_->sample_aspect_ratio;
  if (aspect.num <= 0 || aspect.den <= 0) return frame.width;
  const double ratio = av_q2d(aspect);
  if (ratio < 0.25 || ratio > 4) return frame.width;  // no camera, rather a mistake
  const int64_t width = std::max(std::lround(frame.width * ratio), 1L);
  return width <= limits_.max_side && width * frame.height <= limits_.max_pixels ? width
                                                                                 : frame.width;
}

Image VideoFile::image_of(const AVFrame& frame) {
  const AVPixFmtDescriptor* format = av_pix_fmt_desc_get(static_cast<AVPixelFormat>(frame.format));
  if (format == nullptr || (format->flags & AV_PIX_FMT_FLAG_HWACCEL) != 0) {
    throw NotSupported(str(name_, ": frames in a pixel format that cannot be read"));
  }
  if ((format->flags & (AV_PIX_FMT_FLAG_RGB | AV_PIX_FMT_FLAG_PAL)) != 0) {
    return oriented(pixels_of_frame(frame, true, name_), orientation());
  }
  const int64_t width = shown_width(frame);
  constexpr int kFlags =
      SWS_BILINEAR | SWS_ACCURATE_RND | SWS_FULL_CHR_H_INT | SWS_FULL_CHR_H_INP | SWS_BITEXACT;
  scaler_.reset(sws_getCachedContext(
      scaler_.release(), frame.width, frame.height, static_cast<AVPixelFormat>(frame.format),
      static_cast<int>(width), frame.height, AV_PIX_FMT_RGB24, kFlags, nullptr, nullptr, nullptr));
  if (!scaler_) throw NotSupported(str(name_, ": frames stored as ", format->name));
  // Where a file does not say which colours it means, size tells: HD is BT.709.
  int space = frame.colorspace;
  if (space == AVCOL_SPC_UNSPECIFIED)
    space = frame.height >= 720 ? AVCOL_SPC_BT709 : AVCOL_SPC_SMPTE170M;
  const int* table = sws_getCoefficients(space);
  const int full = frame.color_range == AVCOL_RANGE_JPEG ? 1 : 0;
  constexpr int kOne = 1 << 16;
  sws_setColorspaceDetails(scaler_.get(), table, full, table, 1, 0, kOne, kOne);

  auto rgb = owned(av_frame_alloc());
  rgb->format = AV_PIX_FMT_RGB24;
  rgb->width = static_cast<int>(width);
  rgb->height = frame.height;
  if (av_frame_get_buffer(rgb.get(), 0) < 0) throw Error(str(name_, ": no memory for a frame"));
  sws_scale(scaler_.get(), frame.data, frame.linesize, 0, frame.height, rgb->data, rgb->linesize);
  return oriented(pixels_of_frame(*rgb, false, name_), orientation());
}

}  // namespace corral::media
