#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "media/image.h"

namespace corral::media {

/// A picture of a video and when it is shown, in seconds from the video's begin.
struct VideoFrame {
  double seconds = 0;
  Image image;
};

/// Which pictures of a video are taken.
struct VideoOptions {
  /// At most so many, evenly spaced: those shown in the middle of as many equal pieces.
  int64_t frames = 8;
  /// Instead: the pictures shown at 0, 1 / rate, 2 / rate, ... seconds.
  std::optional<double> frames_per_second = std::nullopt;
  int threads = 1;  // of the decoder
};

struct VideoLimits {
  int64_t max_pixels = 8'912'896;  // of a frame: 4096 x 2176
  int64_t max_side = 8'192;
  int64_t max_frames = 256;          // taken
  int64_t max_decoded = 400'000;     // decoded on the way to those that are taken
  int64_t max_packets = 20'000'000;  // read
  // Of an animated WebP in all its frames: some 8,000 of 1920 x 1080.
  int64_t max_animated_pixels = int64_t{1} << 34;
};

/// Takes pictures out of a video held in memory (a mapped file: only what is needed is touched).
/// Reads MP4/MOV, Matroska/WebM, AVI, FLV, MPEG-TS and -PS, Ogg, ASF/WMV, IVF, GIF, animated WebP
/// and raw H.264/H.265 with H.264, H.265, AV1, VP8, VP9, MPEG-1/2/4, H.263, Theora, VC-1, WMV,
/// ProRes, MJPEG and GIF; sound is ignored. Jumps to the key frame before each picture, so a long
/// video costs no more than a few groups of pictures. Pictures are turned upright when the file
/// says how the camera was held, and stretched when pixels are not square. A frame that serves two
/// moments is returned once, so a short video gives fewer; never none. `name` stands in messages.
///
/// Throws CorruptFile when there is no frame in it, NotSupported for other formats and for what is
/// beyond `limits`, UsageError for frames outside 1..max_frames or a rate that is not positive or
/// asks for more frames than that. Opens no other file and no connection, whatever the file says.
std::vector<VideoFrame> sample_video(std::span<const std::byte> file, const std::string& name,
                                     const VideoOptions& options = {},
                                     const VideoLimits& limits = {});

}  // namespace corral::media
