#pragma once

#include <cstdint>

#include "media/image.h"
#include "tensor/tensor.h"

namespace corral::media {

struct TileOptions {
  int64_t size = 336;      // side of a tile in pixels
  int64_t max_tiles = 16;  // of the canvas; the global tile comes on top
};

/// How a picture is laid out on tiles.
struct TilePlan {
  int64_t rows = 1;  // of the grid of tiles
  int64_t columns = 1;
  int64_t canvas_height = 0;  // rows * size
  int64_t canvas_width = 0;
  int64_t resized_height = 0;  // of the picture on the canvas, top left; the rest is black
  int64_t resized_width = 0;

  /// With the global tile, which exists when the grid has more than one.
  int64_t tiles() const { return rows * columns + (rows * columns > 1 ? 1 : 0); }
};

/// Chooses the canvas for a picture among all grids of at most max_tiles tiles: the scale of a grid
/// is min(canvas width / width, canvas height / height) in f32; the smallest scale of at least 1
/// wins, else the largest; of equal scales the smaller canvas. The picture is then scaled, keeping
/// its aspect, into min(max(side, size), canvas side), so small pictures grow to one tile only.
/// Throws ShapeError for a side below 1, UsageError for a size outside 1..4096 or max_tiles outside
/// 1..1024.
/// Source: the image transform of Meta's llama-models, Llama 4.
TilePlan plan_tiles(int64_t width, int64_t height, const TileOptions& options = {});

struct TiledImage {
  Tensor tiles;  // f32 [n, 3, size, size], (v / 255 - 0.5) / 0.5, raster order, global tile last
  int64_t rows = 1;
  int64_t columns = 1;
  int64_t canvas_height = 0;
  int64_t canvas_width = 0;
  int64_t resized_height = 0;
  int64_t resized_width = 0;
};

/// The tiles that the vision tower sees. The global tile is the whole picture resized to
/// size x size, aspect ignored. Bit-equal to the reference for every thread count and instruction
/// set. Throws as plan_tiles(), and ShapeError when rgb does not have the image's size.
TiledImage tile_image(const Image& image, const TileOptions& options, const DevicePtr& device);

}  // namespace corral::media
