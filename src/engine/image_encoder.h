#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "media/image.h"
#include "media/tiles.h"
#include "model/vision/vision_tower.h"
#include "text/chat.h"

namespace corral::engine {

/// Into how many tiles a picture is cut at most, as the model was trained.
inline constexpr int64_t kMostTiles = 16;

/// How closely a picture is to be looked at, and what its file may ask of the machine.
struct ImageRequest {
  int64_t max_tiles = kMostTiles;  // 1: the picture is seen once, small
  media::ImageLimits limits = {};
};

/// A picture as the text model sees it.
struct EncodedImage {
  uint64_t id = 0;       // of this content as its encoder numbers it, from 1
  text::ImageGrid grid;  // as the prompt writes it
  int64_t vectors_per_tile = 0;
  Tensor vectors_MW;  // one for each <|patch|>, in order
};
using EncodedImagePtr = std::shared_ptr<const EncodedImage>;

/// Turns image files into vectors and keeps the latest, by content: a second question about the
/// same picture costs neither decoding nor the tower. Thread-safe; images are encoded one at a
/// time.
class ImageEncoder {
 public:
  /// kept_bytes: of vectors and files together; the image used longest ago goes first.
  ImageEncoder(std::shared_ptr<const model::VisionTower> tower,
               const model::ForwardOptions& options, int64_t kept_bytes = int64_t{1} << 30);

  /// file: the bytes of an image file, in any format that media::decode_image reads; `name` is for
  /// messages. Throws as decode_image does.
  EncodedImagePtr encode(std::string_view file, const std::string& name,
                         const ImageRequest& request = {});
  /// The same for a picture that is already decoded: a frame of a video.
  EncodedImagePtr encode(const media::Image& picture, int64_t max_tiles = kMostTiles);
  /// The same for a file on disk.
  EncodedImagePtr encode_file(const std::filesystem::path& path);

  /// How many pictures went through the tower.
  int64_t tower_calls() const;
  const model::VisionTower& tower() const { return *tower_; }

 private:
  struct Kept {
    std::string content;
    EncodedImagePtr image;
    int64_t bytes() const;
  };
  EncodedImagePtr find_or_encode(const std::string& content, int64_t max_tiles,
                                 const std::function<media::Image()>& decode);
  EncodedImagePtr run_tower(const media::Image& picture, int64_t max_tiles);
  void make_room();

  std::shared_ptr<const model::VisionTower> tower_;
  model::ForwardOptions options_;
  int64_t kept_bytes_;
  mutable std::mutex mutex_;
  std::list<Kept> kept_;  // latest first
  std::unordered_map<std::string_view, std::list<Kept>::iterator> by_content_;
  int64_t held_bytes_ = 0;
  int64_t tower_calls_ = 0;
  uint64_t last_id_ = 0;
};

}  // namespace corral::engine
