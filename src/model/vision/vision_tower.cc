#include "model/vision/vision_tower.h"

#include <cmath>
#include <cstring>
#include <utility>

#include "autograd/tape.h"
#include "base/error.h"
#include "ops/add/add.h"
#include "ops/add_bias/add_bias.h"
#include "ops/attention/attention.h"
#include "ops/embedding/embedding.h"
#include "ops/gelu/gelu.h"
#include "ops/layer_norm/layer_norm.h"
#include "ops/linear/linear.h"
#include "ops/select_rows/select_rows.h"

namespace corral::model {
namespace {

Tensor linear(const Tensor& x, const Tensor& weight, const ForwardOptions& options) {
  return ops::linear(x, quant::LinearWeight::out_in(weight), options.precision);
}

Tensor linear(const Tensor& x, const BiasedMatrix& w, const ForwardOptions& options) {
  return ops::add_bias(linear(x, w.weight, options), w.bias);
}

void observe(const ForwardOptions& options, const std::string& name, const Tensor& x,
             const Shape& shape) {
  if (options.observer != nullptr) options.observer->activation(name, x.view(shape));
}

// Cuts tiles into patches, [N P, C p p]: the values of a patch by channel, row, column.
Tensor unfold(const Tensor& tiles_NCSS, const VisionConfig& c) {
  const int64_t N = tiles_NCSS.dim(0);
  const int64_t C = c.num_channels;
  const int64_t p = c.patch_size;
  const int64_t G = c.grid();
  Tensor patches({N * G * G, C * p * p}, DType::kF32, tiles_NCSS.device());
  const auto* from = tiles_NCSS.data<float>();
  auto* to = patches.mutable_data<float>();
  tiles_NCSS.device()->threads().parallel_for(N * G * G, 16, [&](int64_t begin, int64_t end) {
    for (int64_t patch = begin; patch < end; ++patch) {
      const int64_t tile = patch / (G * G);
      const int64_t y = patch / G % G * p;
      const int64_t x = patch % G * p;
      for (int64_t line = 0; line < C * p; ++line) {
        const int64_t row = (tile * C + line / p) * c.image_size + y + line % p;
        std::memcpy(to + (patch * C * p + line) * p, from + row * c.image_size + x,
                    static_cast<size_t>(p) * sizeof(float));
      }
    }
  });
  return patches;
}

// Rows of [N P patches, then others] that put row `others` behind each tile's patches.
std::vector<int64_t> with_class_last(int64_t tiles, int64_t patches) {
  std::vector<int64_t> rows;
  for (int64_t tile = 0; tile < tiles; ++tile) {
    for (int64_t patch = 0; patch < patches; ++patch) rows.push_back(tile * patches + patch);
    rows.push_back(tiles * patches);
  }
  return rows;
}

// Rows of [N (P + 1)] without the last of each tile.
std::vector<int64_t> without_class(int64_t tiles, int64_t patches) {
  std::vector<int64_t> rows;
  for (int64_t tile = 0; tile < tiles; ++tile) {
    for (int64_t patch = 0; patch < patches; ++patch) rows.push_back(tile * (patches + 1) + patch);
  }
  return rows;
}

// 0, 1, ..., P for each tile.
template <class Int>
std::vector<Int> places(int64_t tiles, int64_t count) {
  std::vector<Int> rows;
  for (int64_t i = 0; i < tiles * count; ++i) rows.push_back(static_cast<Int>(i % count));
  return rows;
}

// Every tile is a sequence of its own.
kv::Batch tile_batch(int64_t tiles, int64_t rows) {
  kv::Batch batch;
  const std::vector<int32_t> tile(static_cast<size_t>(rows));
  for (int64_t i = 0; i < tiles; ++i) batch.append(tile, 0);
  return batch;
}

}  // namespace

std::vector<int64_t> pixel_shuffle_rows(int64_t tiles, int64_t grid, int64_t side) {
  std::vector<int64_t> rows;
  for (int64_t tile = 0; tile < tiles; ++tile) {
    for (int64_t y = 0; y < grid; y += side) {
      for (int64_t x = 0; x < grid; x += side) {
        for (int64_t i = 0; i < side * side; ++i) {
          rows.push_back((tile * grid + y + i / side) * grid + x + i % side);
        }
      }
    }
  }
  return rows;
}

VisionTower::VisionTower(const VisionConfig& config, VisionWeights weights)
    : config_(config), weights_(std::move(weights)) {
  config_.check();
  rope_ =
      ops::rope_table_2d(config_.head_dim(), config_.rope_theta, config_.grid(), config_.grid());
}

VisionTower VisionTower::trainable(const VisionConfig& config, const std::vector<Tensor>& tensors) {
  const std::vector<VisionParameterInfo> list = vision_parameter_list(config);
  if (list.size() != tensors.size()) {
    throw ShapeError(str("an image tower of ", list.size(), " parameters got ", tensors.size()));
  }
  std::vector<NamedParameter> parameters;
  for (size_t i = 0; i < list.size(); ++i) {
    const ParameterInfo& info = list[i].hf;
    if (tensors[i].dtype() != DType::kF32 || !tensors[i].storage()->writable()) {
      throw NotSupported(str("training needs ", info.name, " as f32 in memory of its own"));
    }
    parameters.push_back(
        {info.name, autograd::parameter(tensors[i]), info.role, info.shape.rank() >= 2});
  }
  size_t next = 0;
  VisionTower tower(config, arrange_vision_weights(config, [&](const VisionParameterInfo&) {
                      return parameters[next++].value;
                    }));
  tower.parameters_ = std::move(parameters);
  return tower;
}

Tensor VisionTower::encode(const Tensor& tiles_NCSS, const ForwardOptions& options) const {
  const int64_t S = config_.image_size;
  if (tiles_NCSS.rank() != 4 || tiles_NCSS.dtype() != DType::kF32 ||
      !(tiles_NCSS.shape() == Shape{tiles_NCSS.dim(0), config_.num_channels, S, S})) {
    throw ShapeError(str("image tower: tiles are ", tiles_NCSS.dtype(), " ", tiles_NCSS.shape(),
                         ", needs f32 [tiles, ", config_.num_channels, ", ", S, ", ", S, "]"));
  }
  const int64_t N = tiles_NCSS.dim(0);
  const int64_t P = config_.patches();
  const int64_t D = config_.hidden_size;
  const auto eps = static_cast<float>(config_.norm_eps);
  const Shape with_class = {N, P + 1, D};

  Tensor x_TD = embed_patches(tiles_NCSS, options);
  x_TD = ops::layer_norm(x_TD, weights_.pre_norm.weight, weights_.pre_norm.bias, eps);
  observe(options, "ln_pre", x_TD, with_class);

  const kv::Batch tiles = tile_batch(N, P + 1);
  for (size_t i = 0; i < weights_.layers.size(); ++i) {
    const auto run = [this, i, options, tiles](const Tensor& x, bool) {
      return block(x, weights_.layers[i], tiles, options);
    };
    x_TD = options.recompute ? autograd::checkpoint(run, x_TD) : run(x_TD, false);
    observe(options, str("block", i), x_TD, with_class);
  }

  x_TD = ops::layer_norm(x_TD, weights_.post_norm.weight, weights_.post_norm.bias, eps);
  const Tensor patches_ND = ops::select_rows(x_TD, {}, without_class(N, P));
  observe(options, "encoder", patches_ND, {N, P, D});
  return adapt(patches_ND, options);
}

// Patches, the class token behind them, and where each stands.
Tensor VisionTower::embed_patches(const Tensor& tiles_NCSS, const ForwardOptions& options) const {
  const int64_t N = tiles_NCSS.dim(0);
  const int64_t P = config_.patches();
  const Tensor patches_ND = linear(unfold(tiles_NCSS, config_), weights_.patch_embedding, options);
  const Tensor class_1D = weights_.class_embedding.view({1, config_.hidden_size});
  const Tensor x_TD = ops::select_rows(patches_ND, class_1D, with_class_last(N, P));
  return ops::add(x_TD, ops::embedding(places<int32_t>(N, P + 1), weights_.positional_embedding));
}

Tensor VisionTower::block(const Tensor& x_TD, const VisionLayerWeights& w, const kv::Batch& tiles,
                          const ForwardOptions& options) const {
  const auto eps = static_cast<float>(config_.norm_eps);
  const Tensor attention_in_TD =
      ops::layer_norm(x_TD, w.attention_norm.weight, w.attention_norm.bias, eps);
  const Tensor h_TD = ops::add(x_TD, attention(attention_in_TD, w, tiles, options));
  const Tensor mlp_in_TD = ops::layer_norm(h_TD, w.mlp_norm.weight, w.mlp_norm.bias, eps);
  const Tensor mlp_TF = ops::gelu(linear(mlp_in_TD, w.up, options));
  return ops::add(h_TD, linear(mlp_TF, w.down, options));
}

Tensor VisionTower::attention(const Tensor& x_TD, const VisionLayerWeights& w,
                              const kv::Batch& tiles, const ForwardOptions& options) const {
  const int64_t T = x_TD.dim(0);
  const int64_t C = config_.head_dim();
  const Shape heads = {T, config_.num_attention_heads, C};
  const auto rows =
      places<int64_t>(static_cast<int64_t>(tiles.segments.size()), config_.patches() + 1);
  const Tensor q_THC = ops::rope(linear(x_TD, w.q, options).view(heads), rows, rope_);
  const Tensor k_THC = ops::rope(linear(x_TD, w.k, options).view(heads), rows, rope_);
  const Tensor v_THC = linear(x_TD, w.v, options).view(heads);
  const Tensor o_THC = ops::attention(q_THC, k_THC, v_THC, tiles, {.causal = false},
                                      1.0f / std::sqrt(static_cast<float>(C)));
  return linear(o_THC.view({T, config_.hidden_size}), w.o, options);
}

// Four patches become one vector, which two matrices and the projector bring into the text model.
Tensor VisionTower::adapt(const Tensor& x_ND, const ForwardOptions& options) const {
  const int64_t side = config_.shuffle();
  const int64_t V = config_.vectors_per_tile();
  const int64_t N = x_ND.dim(0) / config_.patches();
  const Tensor joined_VD = ops::select_rows(x_ND, {}, pixel_shuffle_rows(N, config_.grid(), side))
                               .view({N * V, side * side * config_.hidden_size});
  const Tensor inner_VJ = ops::gelu(linear(joined_VD, weights_.adapter_in, options));
  const Tensor adapted_VJ = ops::gelu(linear(inner_VJ, weights_.adapter_out, options));
  observe(options, "adapter", adapted_VJ, {N, V, config_.projector_output_dim});
  const Tensor projected_VW = linear(adapted_VJ, weights_.projector, options);
  observe(options, "projected", projected_VW, {N, V, config_.text_hidden_size});
  return projected_VW;
}

}  // namespace corral::model
