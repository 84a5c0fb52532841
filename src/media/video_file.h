#pragma once

#include <memory>

#include "media/ffmpeg.h"
#include "media/image.h"
#include "media/video.h"

namespace corral::media {

/// The video stream of a file in memory: its frames one by one, from any place on.
class VideoFile {
 public:
  /// Throws as sample_video().
  VideoFile(std::span<const std::byte> file, std::string name, const VideoLimits& limits,
            int threads);
  ~VideoFile();
  VideoFile(const VideoFile&) = delete;
  VideoFile& operator=(const VideoFile&) = delete;

  /// As the file says; 0 when it does not.
  double duration_seconds() const;
  /// When the last frame is shown, found by reading all packets; the file is used up then.
  double find_last_seconds();

  /// True when the next frame is better reached by a jump: a key frame lies between `now` and
  /// `seconds`.
  bool worth_a_jump(double now, double seconds) const;
  /// Continues at the key frame before; stays where it is when the file cannot jump.
  void jump(double seconds);

  struct Frame {
    double seconds = 0;
    FfmpegPtr<AVFrame> pixels;
  };
  /// The next frame in the order of display; pixels is null at the end.
  Frame next();

  /// The frame as people see it.
  Image image_of(const AVFrame& frame);

 private:
  struct Close {
    void operator()(AVFormatContext* format) const { avformat_close_input(&format); }
  };
  /// Where FFmpeg's input stands in our bytes.
  struct Reader {
    std::span<const std::byte> bytes;
    int64_t position = 0;
  };
  struct FreeInput {
    void operator()(AVIOContext* input) const;
  };

  static int read(void* reader, uint8_t* to, int size);
  static int64_t seek(void* reader, int64_t offset, int whence);
  void open_format();
  void open_decoder(int threads);
  bool read_packet();
  bool feed();
  double seconds_of(int64_t timestamp) const;
  int orientation() const;
  int64_t shown_width(const AVFrame& frame) const;

  std::string name_;
  VideoLimits limits_;
  Reader reader_;
  std::unique_ptr<AVIOContext, FreeInput> input_;
  std::unique_ptr<AVFormatContext, Close> format_;
  AVStream* stream_ = nullptr;
  FfmpegPtr<AVCodecContext> decoder_;
  FfmpegPtr<AVPacket> packet_;
  FfmpegPtr<SwsContext> scaler_;
  int64_t packets_ = 0;
  int64_t decoded_ = 0;
  double last_seconds_ = 0;  // of the frame before
  bool drained_ = false;
};

}  // namespace corral::media
