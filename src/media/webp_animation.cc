#include "media/webp_animation.h"

#include <webp/demux.h>

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "media/byte_view.h"
#include "media/frame_pixels.h"

namespace corral::media {
namespace {

struct FreeDemuxer {
  void operator()(WebPDemuxer* demuxer) const { WebPDemuxDelete(demuxer); }
};

struct FreeIterator {
  void operator()(WebPIterator* frame) const { WebPDemuxReleaseIterator(frame); }
};

WebPData data_of(std::span<const std::byte> file) {
  return {reinterpret_cast<const uint8_t*>(file.data()), file.size()};
}

/// Milliseconds that each frame lasts, from the headers alone.
std::vector<int> durations_of(std::span<const std::byte> file) {
  constexpr int kUnsaid = 100;
  const WebPData data = data_of(file);
  const std::unique_ptr<WebPDemuxer, FreeDemuxer> demuxer(WebPDemux(&data));
  std::vector<int> durations;
  WebPIterator frame{};
  if (!demuxer || WebPDemuxGetFrame(demuxer.get(), 1, &frame) == 0) return durations;
  const std::unique_ptr<WebPIterator, FreeIterator> release(&frame);
  do {
    durations.push_back(frame.duration > 0 ? frame.duration : kUnsaid);
  } while (WebPDemuxNextFrame(&frame) != 0);
  return durations;
}

}  // namespace

bool is_animated_webp(std::span<const std::byte> file) {
  constexpr int64_t kAnimated = 2;  // flag of VP8X. Source: RFC 9649.
  const std::string name;
  const ByteView view(file, name);
  return view.starts_with(0, "RIFF") && view.starts_with(8, "WEBPVP8X") && view.holds(20, 1) &&
         (view.u8(20) & kAnimated) != 0;
}

void WebpAnimation::Delete::operator()(WebPAnimDecoder* decoder) const {
  WebPAnimDecoderDelete(decoder);
}

WebpAnimation::WebpAnimation(std::span<const std::byte> file, std::string name)
    : name_(std::move(name)) {
  int64_t milliseconds = 0;
  for (const int duration : durations_of(file)) {
    begins_.push_back(static_cast<double>(milliseconds) / 1e3);
    milliseconds += duration;
  }
  duration_ = static_cast<double>(milliseconds) / 1e3;
  WebPAnimDecoderOptions options;
  WebPAnimInfo info;
  const WebPData data = data_of(file);
  if (WebPAnimDecoderOptionsInit(&options) != 0) {
    options.color_mode = MODE_RGBA;
    options.use_threads = 0;
    decoder_.reset(WebPAnimDecoderNew(&data, &options));
  }
  if (begins_.empty() || !decoder_ || WebPAnimDecoderGetInfo(decoder_.get(), &info) == 0) {
    throw CorruptFile(str(name_, ": not a whole animated WebP"));
  }
  width_ = info.canvas_width;
  height_ = info.canvas_height;
}

int64_t WebpAnimation::frame_at(double seconds) const {
  const auto after = std::upper_bound(begins_.begin(), begins_.end(), seconds);
  return std::max<int64_t>(0, after - begins_.begin() - 1);
}

Image WebpAnimation::picture(int64_t frame) {
  if (frame < next_ || frame >= frames()) {
    throw Error(str(name_, ": frame ", frame, " is asked for after ", next_ - 1));
  }
  uint8_t* canvas = nullptr;
  for (int end_milliseconds = 0; next_ <= frame; ++next_) {
    if (WebPAnimDecoderGetNext(decoder_.get(), &canvas, &end_milliseconds) == 0) {
      throw CorruptFile(str(name_, ": frame ", next_, " of the animated WebP is damaged"));
    }
  }
  return pixels_of_rgba(canvas, width_, height_);
}

}  // namespace corral::media
