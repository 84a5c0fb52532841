#include "serve/media.h"

#include <algorithm>

#include "base/encoding.h"
#include "base/file.h"
#include "engine/image_prompt.h"
#include "hub/fetch_public.h"
#include "media/video.h"
#include "serve/api_error.h"
#include "text/chat_json.h"

namespace corral::serve {
namespace {

constexpr int64_t kVideoTimes = 8;  // a video may be so many times larger than a picture
constexpr size_t kMostMedia = 1024;
constexpr NumberField kFrames{"frames", 1, 256, true};
constexpr NumberField kFps{"fps", 0.001, 1000, false};

const OrderedJson* find(const OrderedJson& object, const char* name) {
  const auto found = object.find(name);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

// The item as a source; absent for text. The item is a content item of a message.
std::optional<MediaSource> source_of(const OrderedJson& item) {
  if (!item.is_object() || find(item, "text") != nullptr) return std::nullopt;
  MediaSource source;
  for (const char* name : {"video_url", "image_url"}) {
    const OrderedJson* link = find(item, name);
    if (link == nullptr) continue;
    source.is_video = std::string_view(name) == "video_url";
    if (link->is_string()) {
      source.url = link->get<std::string>();
      return source;
    }
    const Fields fields(*link, std::string(name) + ".");
    if (!link->is_object())
      throw ApiError(400, str(name, " is neither a text nor an object"), "messages");
    const auto url = fields.text("url");
    if (!url) fields.fail("url", "is missing");
    source.url = *url;
    source.max_tiles = tiles_of_detail(fields);
    if (source.is_video) {
      source.frames = fields.integer(kFrames);
      source.frames_per_second = fields.number(kFps);
    }
    return source;
  }
  for (const char* name : {"image", "url", "path"}) {
    const OrderedJson* image = find(item, name);
    if (image != nullptr && image->is_string()) {
      source.url = image->get<std::string>();
      return source;
    }
  }
  return std::nullopt;
}

std::string read_data_url(std::string_view url, const std::string& what, int64_t max_bytes) {
  const size_t comma = url.find(',');
  if (comma == url.npos || comma > 200)
    throw ApiError(400, what + ": a data: URL without data", "messages");
  if (!url.substr(0, comma).ends_with(";base64")) {
    throw ApiError(400, what + ": a data: URL must be in base64", "messages");
  }
  const std::string_view text = url.substr(comma + 1);
  if (static_cast<int64_t>(text.size()) / 4 * 3 > max_bytes + 3) {
    throw ApiError(400, str(what, ": larger than ", max_bytes, " bytes"), "messages");
  }
  auto bytes = base64_decode(text);
  if (!bytes) throw ApiError(400, what + ": the data: URL is no base64", "messages");
  return std::move(*bytes);
}

// The file must lie in the folder once all links are followed. One message for every reason: nobody
// learns from it which files there are.
std::string read_local(std::string_view url, const std::string& what, const MediaOptions& options,
                       int64_t max_bytes) {
  const ApiError refused(400, what + ": no such file in the folder that the server shows",
                         "messages");
  if (options.folder.empty()) {
    throw ApiError(400, what + ": this server reads no files: send the picture as a data: URL",
                   "messages");
  }
  url.remove_prefix(std::string_view("file:").size());
  if (url.starts_with("//")) url.remove_prefix(2);
  const std::string name = percent_decode(url);
  if (name.find('\0') != name.npos) throw refused;
  std::error_code error;
  const auto folder = std::filesystem::canonical(options.folder, error);
  if (error) throw refused;
  const auto file = std::filesystem::canonical(folder / name, error);
  if (error) throw refused;
  const auto [end, rest] = std::mismatch(folder.begin(), folder.end(), file.begin(), file.end());
  if (end != folder.end() || !std::filesystem::is_regular_file(file, error)) throw refused;
  try {
    return read_file(file, max_bytes);
  } catch (const IoError&) {
    throw refused;
  }
}

class Looker {
 public:
  Looker(engine::ImageEncoder& eyes, const std::vector<MediaSource>& media,
         const MediaOptions& options)
      : eyes_(eyes), media_(media), options_(options) {}

  void look(text::ChatMessage& message) {
    std::vector<text::ContentItem> seen;
    for (text::ContentItem& item : message.content) {
      if (item.kind != text::ContentItem::Kind::kImage) {
        seen.push_back(std::move(item));
        continue;
      }
      if (next_ == media_.size() || item.text != str(next_)) {
        throw ApiError(400, "a message has an image without a URL", "messages");
      }
      const MediaSource& source = media_[next_++];
      const std::string what = str(source.is_video ? "video " : "image ", next_);
      try {
        source.is_video ? look_at_video(source, what, seen) : look_at_image(source, what, seen);
      } catch (const ApiError&) {
        throw;
      } catch (const Error& error) {  // of the decoders: the client's file
        throw ApiError(400, error.what(), "messages");
      }
    }
    message.content = std::move(seen);
  }
  std::vector<engine::EncodedImagePtr> take() { return std::move(images_); }

 private:
  void check_room(int64_t more) const {
    if (static_cast<int64_t>(images_.size()) + more <= options_.max_images) return;
    throw ApiError(400,
                   str("more than ", options_.max_images,
                       " images (frames of videos included), which this server takes"),
                   "messages");
  }
  void look_at_image(const MediaSource& source, const std::string& what,
                     std::vector<text::ContentItem>& seen) {
    check_room(1);
    engine::ImageRequest request{.max_tiles = source.max_tiles};
    request.limits.max_bytes = options_.max_file_bytes;
    request.limits.max_pixels = options_.max_pixels;
    images_.push_back(eyes_.encode(read_media(source, what, options_), what, request));
    seen.push_back({text::ContentItem::Kind::kImage, what});
  }
  void look_at_video(const MediaSource& source, const std::string& what,
                     std::vector<text::ContentItem>& seen) {
    const int64_t room = options_.max_images - static_cast<int64_t>(images_.size());
    check_room(source.frames.value_or(1));
    const media::VideoOptions wanted{.frames = source.frames.value_or(std::min<int64_t>(room, 8)),
                                     .frames_per_second = source.frames_per_second};
    media::VideoLimits limits;
    limits.max_frames = room;
    const std::string file = read_media(source, what, options_);
    for (const media::VideoFrame& frame :
         media::sample_video(std::as_bytes(std::span(file)), what, wanted, limits)) {
      check_room(1);
      images_.push_back(eyes_.encode(frame.image, source.max_tiles));
      engine::add_frame(seen, what, frame.seconds);
    }
  }

  engine::ImageEncoder& eyes_;
  const std::vector<MediaSource>& media_;
  const MediaOptions& options_;
  size_t next_ = 0;
  std::vector<engine::EncodedImagePtr> images_;
};

}  // namespace

void MediaOptions::check() const {
  const auto in = [](const char* name, int64_t value, int64_t low, int64_t high) {
    if (value < low || value > high) {
      throw UsageError(str(name, " is ", value, ", needs ", low, " to ", high));
    }
  };
  in("max_images", max_images, 0, 256);
  in("max_file_bytes", max_file_bytes, 1, int64_t{1} << 32);
  in("max_pixels", max_pixels, 1, 1'000'000'000);
  if (!folder.empty() && !std::filesystem::is_directory(folder)) {
    throw IoError(str(folder.string(), ": no folder to show pictures from"));
  }
}

int64_t tiles_of_detail(const Fields& fields) {
  const std::string detail = fields.text("detail").value_or("auto");
  if (detail == "low") return 1;
  if (detail != "auto" && detail != "high") fields.fail("detail", "is none of auto, low and high");
  return engine::kMostTiles;
}

std::vector<MediaSource> take_media(OrderedJson& messages) {
  std::vector<MediaSource> media;
  if (!messages.is_array()) return media;
  for (OrderedJson& message : messages) {
    if (!message.is_object()) continue;
    const auto content = message.find("content");
    if (content == message.end() || !content->is_array()) continue;
    for (OrderedJson& item : *content) {
      auto source = source_of(item);
      if (!source) continue;
      if (media.size() == kMostMedia) {
        throw ApiError(400, str("messages has more than ", kMostMedia, " images"), "messages");
      }
      item = {{"type", "image"}, {"image", str(media.size())}};
      media.push_back(std::move(*source));
    }
  }
  return media;
}

std::string read_media(const MediaSource& source, const std::string& what,
                       const MediaOptions& options) {
  const int64_t most = options.max_file_bytes * (source.is_video ? kVideoTimes : 1);
  const std::string_view url = source.url;
  if (url.starts_with("data:")) return read_data_url(url, what, most);
  if (url.starts_with("file:")) return read_local(url, what, options, most);
  if (!url.starts_with("http://") && !url.starts_with("https://")) {
    throw ApiError(400, what + ": the URL is none of data:, http:, https: and file:", "messages");
  }
  if (!options.allow_urls) {
    throw ApiError(400, what + ": this server fetches nothing: send the picture as a data: URL",
                   "messages");
  }
  try {
    return hub::fetch_public(source.url, {.max_bytes = most, .seconds = options.fetch_seconds});
  } catch (const Error& error) {
    throw ApiError(400, str(what, ": ", error.what()), "messages");
  }
}

std::vector<engine::EncodedImagePtr> look(engine::ImageEncoder* eyes,
                                          std::vector<text::ChatMessage>& messages,
                                          const std::vector<MediaSource>& media,
                                          const MediaOptions& options) {
  const bool pictures = std::any_of(messages.begin(), messages.end(), [](const auto& message) {
    return text::count_images(std::span(&message, 1)) > 0;
  });
  if (!pictures) return {};
  if (eyes == nullptr) {
    throw ApiError(400, "messages has an image, and this model does not see", "messages");
  }
  if (static_cast<int64_t>(media.size()) > options.max_images) {
    throw ApiError(
        400, str("messages has ", media.size(), " images, this server takes ", options.max_images),
        "messages");
  }
  Looker looker(*eyes, media, options);
  for (text::ChatMessage& message : messages) looker.look(message);
  return looker.take();
}

}  // namespace corral::serve
