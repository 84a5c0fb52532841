#include "engine/image_encoder.h"

#include <algorithm>
#include <utility>

#include "autograd/tape.h"
#include "base/error.h"
#include "base/file.h"
#include "media/image.h"

namespace corral::engine {
namespace {

// Tiles that go through the tower together: enough rows for full speed, few enough that the MLP's
// activations stay small (13 MB a tile at the size of Scout's tower).
constexpr int64_t kTilesAtOnce = 4;

}  // namespace

ImageEncoder::ImageEncoder(std::shared_ptr<const model::VisionTower> tower,
                           const model::ForwardOptions& options, int64_t kept_bytes)
    : tower_(std::move(tower)), kept_bytes_(kept_bytes) {
  options_.precision = options.precision;
}

int64_t ImageEncoder::Kept::bytes() const {
  return static_cast<int64_t>(content.size()) + image->vectors_MW.size_bytes();
}

EncodedImagePtr ImageEncoder::encode(std::string_view file, const std::string& name,
                                     const ImageRequest& request) {
  const auto decode = [&] {
    return media::decode_image(std::as_bytes(std::span(file)), name, request.limits);
  };
  std::string content = str("file in ", request.max_tiles, " tiles\n");
  return find_or_encode(content.append(file), request.max_tiles, decode);
}

EncodedImagePtr ImageEncoder::encode(const media::Image& picture, int64_t max_tiles) {
  std::string content =
      str("pixels ", picture.width, "x", picture.height, " in ", max_tiles, " tiles\n");
  content.append(picture.rgb.begin(), picture.rgb.end());
  return find_or_encode(content, max_tiles, [&] { return picture; });
}

EncodedImagePtr ImageEncoder::find_or_encode(const std::string& content, int64_t max_tiles,
                                             const std::function<media::Image()>& decode) {
  const std::lock_guard lock(mutex_);
  if (const auto found = by_content_.find(content); found != by_content_.end()) {
    kept_.splice(kept_.begin(), kept_, found->second);
    return found->second->image;
  }
  EncodedImagePtr image = run_tower(decode(), max_tiles);
  kept_.push_front({content, image});
  by_content_.emplace(kept_.front().content, kept_.begin());
  held_bytes_ += kept_.front().bytes();
  make_room();
  return image;
}

EncodedImagePtr ImageEncoder::encode_file(const std::filesystem::path& path) {
  return encode(read_file(path, media::ImageLimits().max_bytes), path.string());
}

EncodedImagePtr ImageEncoder::run_tower(const media::Image& picture, int64_t max_tiles) {
  const autograd::NoGrad no_grad;  // the tower may be one in training
  const model::VisionConfig& config = tower_->config();
  const DevicePtr device = tower_->device();
  const media::TiledImage tiled =
      media::tile_image(picture, {.size = config.image_size, .max_tiles = max_tiles}, device);
  const int64_t tiles = tiled.tiles.dim(0);
  const int64_t rows = config.vectors_per_tile();
  auto image = std::make_shared<EncodedImage>();
  image->id = ++last_id_;
  image->grid = {tiled.rows, tiled.columns};
  image->vectors_per_tile = rows;
  image->vectors_MW = Tensor({tiles * rows, config.text_hidden_size}, DType::kF32, device);
  auto* to = image->vectors_MW.mutable_data<float>();
  for (int64_t begin = 0; begin < tiles; begin += kTilesAtOnce) {
    const int64_t end = std::min(begin + kTilesAtOnce, tiles);
    const Tensor part = tower_->encode(tiled.tiles.rows(begin, end), options_);
    std::copy_n(part.data<float>(), part.numel(), to + begin * rows * config.text_hidden_size);
  }
  ++tower_calls_;
  return image;
}

// The newest image stays, however large it is: somebody is about to use it.
void ImageEncoder::make_room() {
  while (held_bytes_ > kept_bytes_ && kept_.size() > 1) {
    held_bytes_ -= kept_.back().bytes();
    by_content_.erase(kept_.back().content);
    kept_.pop_back();
  }
}

int64_t ImageEncoder::tower_calls() const {
  const std::lock_guard lock(mutex_);
  return tower_calls_;
}

}  // namespace corral::engine
