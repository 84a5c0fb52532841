#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/image_encoder.h"
#include "engine/prompt.h"
#include "serve/api_json.h"
#include "text/chat.h"

namespace corral::serve {

/// A picture or a video of a request, before anybody looked at it.
struct MediaSource {
  bool is_video = false;
  std::string url;                         // data:, http:, https: or file:
  int64_t max_tiles = engine::kMostTiles;  // detail "low": 1
  std::optional<int64_t> frames = {};      // of a video
  std::optional<double> frames_per_second = {};
};

/// Where pictures may come from, and what they may ask of the machine.
struct MediaOptions {
  int64_t max_images = 16;            // of a request, frames of videos included
  int64_t max_file_bytes = 20 << 20;  // of a picture; a video may have eight times as many
  int64_t max_pixels = 50'000'000;    // of a picture
  bool allow_urls = false;            // http and https, of public addresses only
  std::filesystem::path folder = {};  // of file: URLs; empty: none
  double fetch_seconds = 15;

  /// Throws UsageError naming the option and its range; IoError for a folder that is none.
  void check() const;
};

/// Takes the pictures and videos out of OpenAI's messages ({"type": "image_url" | "video_url",
/// ...}, and the other spellings that text::messages_from_json reads): their content items become
/// images named "0", "1", ... in the order of the list. Throws ApiError 400.
std::vector<MediaSource> take_media(OrderedJson& messages);
/// "auto" and "high": all tiles; "low": one. Throws ApiError 400.
int64_t tiles_of_detail(const Fields& fields);

/// The bytes that a URL names. `what` is for messages. Throws ApiError 400.
std::string read_media(const MediaSource& source, const std::string& what,
                       const MediaOptions& options);

/// The pictures of messages as the model sees them. Videos become frames, each after a line with
/// its time: the messages' items change accordingly. Throws ApiError 400 for a model that does not
/// see, for what cannot be read, and beyond the limits.
std::vector<engine::EncodedImagePtr> look(engine::ImageEncoder* eyes,
                                          std::vector<text::ChatMessage>& messages,
                                          const std::vector<MediaSource>& media,
                                          const MediaOptions& options);

}  // namespace corral::serve
