#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "media/image.h"

struct WebPAnimDecoder;

namespace corral::media {

/// True for a WebP file of several frames. Reads the header only; never beyond the file.
bool is_animated_webp(std::span<const std::byte> file);

/// The frames of an animated WebP as libwebp puts them together, in their order. The file must
/// outlive it.
class WebpAnimation {
 public:
  /// Takes memory for two canvases, so check_limits() comes before. Throws CorruptFile when the
  /// file is damaged, cut, or without frames.
  WebpAnimation(std::span<const std::byte> file, std::string name);

  int64_t width() const { return width_; }
  int64_t height() const { return height_; }
  int64_t frames() const { return static_cast<int64_t>(begins_.size()); }
  /// When a frame is shown, from 0 on. A frame without a duration lasts a tenth of a second, as
  /// browsers show it.
  double begin_seconds(int64_t frame) const { return begins_[static_cast<size_t>(frame)]; }
  double duration_seconds() const { return duration_; }
  /// The frame shown at that moment, the last one also behind the end.
  int64_t frame_at(double seconds) const;

  /// The picture of a frame, on white. Frames are asked for in their order, each at most once;
  /// those between are decoded on the way. Throws CorruptFile.
  Image picture(int64_t frame);

 private:
  struct Delete {
    void operator()(WebPAnimDecoder* decoder) const;
  };

  std::string name_;
  std::unique_ptr<WebPAnimDecoder, Delete> decoder_;
  int64_t width_ = 0;
  int64_t height_ = 0;
  std::vector<double> begins_;
  double duration_ = 0;
  int64_t next_ = 0;  // frame that the decoder gives next
};

}  // namespace corral::media
