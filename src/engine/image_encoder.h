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

#include "media/tiles.h"
#include "model/vision/vision_tower.h"
#include "text/chat.h"

namespace corral::engine {

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
  EncodedImagePtr encode(std::string_view file, const std::string& name);
  /// The same for a picture that is already decoded: a frame of a video.
  EncodedImagePtr encode(const media::Image& picture);
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
  EncodedImagePtr find_or_encode(std::string_view content,
                                 const std::function<media::Image()>& decode);
  EncodedImagePtr run_tower(const media::Image& picture);
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
