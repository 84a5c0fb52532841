#include "media/tiles.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "media/resize.h"

namespace corral::media {
namespace {

constexpr int64_t kMaxTileSide = 4096;
constexpr int64_t kMaxTiles = 1024;

void check(int64_t width, int64_t height, const TileOptions& options) {
  if (width < 1 || height < 1) {
    throw ShapeError(str("tiles: the image is ", width, "x", height, ", needs at least 1x1"));
  }
  if (options.size < 1 || options.size > kMaxTileSide) {
    throw UsageError(str("tiles: size ", options.size, " is not from 1 to ", kMaxTileSide));
  }
  if (options.max_tiles < 1 || options.max_tiles > kMaxTiles) {
    throw UsageError(str("tiles: max-tiles ", options.max_tiles, " is not from 1 to ", kMaxTiles));
  }
}

/// True when a canvas of this scale serves better: without shrinking if possible, and then with as
/// little black as possible; else with the least shrinking.
bool better(float scale, float best) {
  if (scale >= 1) return best < 1 || scale < best;
  return best < 1 && scale > best;
}

/// Black where the picture does not reach.
constexpr float kBlack = -1.0f;

std::array<float, 256> normalised_values() {
  std::array<float, 256> values{};
  for (size_t v = 0; v < values.size(); ++v) {
    values[v] = (static_cast<float>(v) / 255.0f - 0.5f) / 0.5f;
  }
  return values;
}

/// Row y of the window of `image` that begins at column x0, normalised, on three planes; the window
/// may reach over the picture's edge.
void write_row(const Image& image, int64_t y, int64_t x0, int64_t size,
               const std::array<float, 256>& values, float* to, int64_t plane) {
  const int64_t pixels = y < image.height ? std::clamp(image.width - x0, int64_t{0}, size) : 0;
  const uint8_t* from = pixels > 0 ? image.rgb.data() + (y * image.width + x0) * 3 : nullptr;
  for (int64_t c = 0; c < 3; ++c) {
    float* row = to + c * plane;
    for (int64_t x = 0; x < pixels; ++x) row[x] = values[from[3 * x + c]];
    std::fill(row + pixels, row + size, kBlack);
  }
}

}  // namespace

TilePlan plan_tiles(int64_t width, int64_t height, const TileOptions& options) {
  check(width, height, options);
  TilePlan plan;
  float best = 0;
  for (int64_t columns = 1; columns <= options.max_tiles; ++columns) {
    for (int64_t rows = 1; rows * columns <= options.max_tiles; ++rows) {
      const float scale =
          std::min(static_cast<float>(columns * options.size) / static_cast<float>(width),
                   static_cast<float>(rows * options.size) / static_cast<float>(height));
      const bool smaller = rows * columns < plan.rows * plan.columns;
      if (!better(scale, best) && !(scale == best && smaller)) continue;
      best = scale;
      plan.rows = rows;
      plan.columns = columns;
    }
  }
  plan.canvas_height = plan.rows * options.size;
  plan.canvas_width = plan.columns * options.size;

  const int64_t target_width = std::min(std::max(width, options.size), plan.canvas_width);
  const int64_t target_height = std::min(std::max(height, options.size), plan.canvas_height);
  const double scale_x = static_cast<double>(target_width) / static_cast<double>(width);
  const double scale_y = static_cast<double>(target_height) / static_cast<double>(height);
  const auto scaled = [](int64_t side, double scale, int64_t most) {
    const auto floor = static_cast<int64_t>(std::floor(static_cast<double>(side) * scale));
    return std::clamp(floor, int64_t{1}, most);
  };
  if (scale_x < scale_y) {
    plan.resized_width = target_width;
    plan.resized_height = scaled(height, scale_x, target_height);
  } else {
    plan.resized_height = target_height;
    plan.resized_width = scaled(width, scale_y, target_width);
  }
  return plan;
}

TiledImage tile_image(const Image& image, const TileOptions& options, const DevicePtr& device) {
  const TilePlan plan = plan_tiles(image.width, image.height, options);
  const int64_t size = options.size;
  const int64_t n = plan.tiles();
  ThreadPool& threads = device->threads();
  const Image canvas =
      resize(image, plan.resized_width, plan.resized_height, threads, device->isa());
  const Image global = n > 1 ? resize(image, size, size, threads, device->isa()) : Image{};

  TiledImage tiled{Tensor({n, 3, size, size}, DType::kF32, device),
                   plan.rows,
                   plan.columns,
                   plan.canvas_height,
                   plan.canvas_width,
                   plan.resized_height,
                   plan.resized_width};
  auto* to = tiled.tiles.mutable_data<float>();
  const std::array<float, 256> values = normalised_values();
  const int64_t plane = size * size;
  threads.parallel_for(n * size, 16, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t tile = i / size;
      const int64_t y = i % size;
      float* row = to + tile * 3 * plane + y * size;
      if (tile == plan.rows * plan.columns) {
        write_row(global, y, 0, size, values, row, plane);
      } else {
        write_row(canvas, tile / plan.columns * size + y, tile % plan.columns * size, size, values,
                  row, plane);
      }
    }
  });
  return tiled;
}

}  // namespace corral::media
