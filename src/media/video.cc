#include "media/video.h"

#include <algorithm>
#include <cmath>

#include "media/image_header.h"
#include "media/orientation.h"
#include "media/video_file.h"
#include "media/webp_animation.h"

namespace corral::media {
namespace {

void check(const VideoOptions& options, const VideoLimits& limits) {
  if (options.frames < 1 || options.frames > limits.max_frames) {
    throw UsageError(
        str("video: ", options.frames, " frames are not from 1 to ", limits.max_frames));
  }
  const double rate = options.frames_per_second.value_or(1);
  if (!std::isfinite(rate) || rate <= 0) {
    throw UsageError(str("video: ", rate, " frames a second are not more than 0"));
  }
}

std::vector<double> moments(double duration, const VideoOptions& options,
                            const VideoLimits& limits) {
  std::vector<double> moments;
  if (options.frames_per_second) {
    const double rate = *options.frames_per_second;
    const double count = std::max(std::ceil(duration * rate), 1.0);
    if (count > static_cast<double>(limits.max_frames)) {
      throw UsageError(str("video: ", rate, " frames a second of ", duration, " seconds are ",
                           count, " frames, there may be ", limits.max_frames));
    }
    for (int64_t i = 0; i < static_cast<int64_t>(count); ++i) {
      moments.push_back(static_cast<double>(i) / rate);
    }
    return moments;
  }
  const auto pieces = static_cast<double>(options.frames);
  for (int64_t i = 0; i < options.frames; ++i) {
    moments.push_back((static_cast<double>(i) + 0.5) * duration / pieces);
  }
  return moments;
}

// The time stamps of a file are rounded, ours are not.
constexpr double kSlack = 1e-3;

/// The frame shown at moments that only grow.
class Player {
 public:
  explicit Player(VideoFile& file) : file_(file), next_(file.next()) {}

  /// Null when the video has no frame at all.
  const VideoFile::Frame& at(double seconds) {
    if (file_.worth_a_jump(next_.pixels ? next_.seconds : seconds, seconds)) {
      file_.jump(seconds);
      auto after = file_.next();
      if (after.pixels) next_ = std::move(after);
    }
    while (next_.pixels && (!shown_.pixels || next_.seconds <= seconds + kSlack)) {
      shown_ = std::move(next_);
      next_ = file_.next();
    }
    return shown_;
  }

 private:
  VideoFile& file_;
  VideoFile::Frame shown_;
  VideoFile::Frame next_;
};

/// The same of an animated WebP, which says when its frames are shown and cannot jump.
std::vector<VideoFrame> sample_animation(std::span<const std::byte> file, const std::string& name,
                                         const VideoOptions& options, const VideoLimits& limits) {
  const ImageHeader header = read_image_header(file, name);
  check_limits(header, static_cast<int64_t>(file.size()), name,
               {.max_pixels = limits.max_pixels, .max_side = limits.max_side});
  WebpAnimation animation(file, name);
  const int64_t most = std::min(
      limits.max_decoded, limits.max_animated_pixels / animation.width() / animation.height());
  if (animation.frames() > most) {
    throw NotSupported(str(name, ": ", animation.frames(), " frames of ", animation.width(), "x",
                           animation.height(), " pixels, there may be ", most));
  }
  std::vector<VideoFrame> frames;
  int64_t last = -1;
  for (const double seconds : moments(animation.duration_seconds(), options, limits)) {
    const int64_t frame = animation.frame_at(seconds + kSlack);
    if (frame == last) continue;
    last = frame;
    frames.push_back(
        {animation.begin_seconds(frame), oriented(animation.picture(frame), header.orientation)});
  }
  return frames;
}

}  // namespace

std::vector<VideoFrame> sample_video(std::span<const std::byte> file, const std::string& name,
                                     const VideoOptions& options, const VideoLimits& limits) {
  check(options, limits);
  if (is_animated_webp(file)) return sample_animation(file, name, options, limits);
  VideoFile video(file, name, limits, options.threads);
  double duration = video.duration_seconds();
  if (duration == 0) duration = VideoFile(file, name, limits, 1).find_last_seconds();
  Player player(video);
  std::vector<VideoFrame> frames;
  double last = -1;
  for (const double seconds : moments(duration, options, limits)) {
    const VideoFile::Frame& frame = player.at(seconds);
    if (!frame.pixels) throw CorruptFile(str(name, ": there is no frame in the video"));
    if (!frames.empty() && frame.seconds == last) continue;
    last = frame.seconds;
    frames.push_back({std::max(frame.seconds, 0.0), video.image_of(*frame.pixels)});
  }
  return frames;
}

}  // namespace corral::media
