#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "kv/batch.h"
#include "model/forward.h"
#include "model/text_model.h"
#include "model/vision/vision_config.h"
#include "model/vision/vision_weights.h"
#include "ops/rope/rope.h"

// Shape letters: N tiles, P patches of a tile, D hidden_size of the tower, J width of the adapter,
// W hidden_size of the text model, S side of a tile.

namespace corral::model {

/// Llama 4's image tower with adapter and projector: tiles in, vectors for the text model out. As
/// TextModel it is written once, trains (leaves as weights) and serves (views of mapped files), and
/// is safe to use from several threads when no weight is a leaf.
/// Source: models/llama4/vision in meta-llama/llama-models.
class VisionTower {
 public:
  /// For inference: weights wherever they lie.
  VisionTower(const VisionConfig& config, VisionWeights weights);
  /// For training: f32 tensors in the order of vision_parameter_list(config).
  static VisionTower trainable(const VisionConfig& config, const std::vector<Tensor>& tensors);

  const VisionConfig& config() const { return config_; }
  const VisionWeights& weights() const { return weights_; }
  /// Empty unless made trainable.
  const std::vector<NamedParameter>& parameters() const { return parameters_; }
  const DevicePtr& device() const { return weights_.patch_embedding.device(); }

  /// The vectors of N tiles, [N P / shuffle^2, W]. tiles: f32 [N, 3, S, S], normalised. Tiles do
  /// not see each other, and a tile's vectors have the same bits whatever else is in the call. The
  /// observer sees "ln_pre" and "block<i>" [N, P + 1, D], "encoder" [N, P, D], "adapter"
  /// [N, P / shuffle^2, J] and "projected" [N, P / shuffle^2, W]. Of the options precision,
  /// recompute and observer count. Throws ShapeError for other tiles.
  Tensor encode(const Tensor& tiles_NCSS, const ForwardOptions& options = {}) const;

 private:
  Tensor embed_patches(const Tensor& tiles_NCSS, const ForwardOptions& options) const;
  Tensor block(const Tensor& x_TD, const VisionLayerWeights& weights, const kv::Batch& tiles,
               const ForwardOptions& options) const;
  Tensor attention(const Tensor& x_TD, const VisionLayerWeights& weights, const kv::Batch& tiles,
                   const ForwardOptions& options) const;
  Tensor adapt(const Tensor& x_ND, const ForwardOptions& options) const;

  VisionConfig config_;
  VisionWeights weights_;
  std::shared_ptr<const ops::RopeTable> rope_;
  std::vector<NamedParameter> parameters_;
};

/// The rows that a pixel shuffle takes from a tile's patches in raster order: one output is a block
/// of side x side patches, row by row. Source: pixel_shuffle of models/llama4/vision.
std::vector<int64_t> pixel_shuffle_rows(int64_t tiles, int64_t grid, int64_t side);

}  // namespace corral::model
