#pragma once

#include <functional>
#include <string>
#include <vector>

#include "model/vision/vision_config.h"
#include "model/weights.h"

// Shape letters: D hidden_size of the tower, P patches of a tile, F width of the MLP, J width of
// the adapter, S patches that the pixel shuffle joins, W hidden_size of the text model.

namespace corral::model {

/// A matrix [out, in] with its bias. The matrix may have any weight type; the bias is f32.
struct BiasedMatrix {
  Tensor weight;
  Tensor bias;
};

struct LayerNormWeights {
  Tensor weight;  // [D] f32
  Tensor bias;    // [D] f32
};

struct VisionLayerWeights {
  LayerNormWeights attention_norm;
  BiasedMatrix q, k, v, o;  // [D, D]
  LayerNormWeights mlp_norm;
  BiasedMatrix up;    // [F, D]
  BiasedMatrix down;  // [D, F]
};

/// Everything that the image tower multiplies with, wherever it lies.
struct VisionWeights {
  Tensor patch_embedding;       // [D, 3 patch^2], channels before rows before columns
  Tensor class_embedding;       // [D] f32
  Tensor positional_embedding;  // [P + 1, D], the class token's row last
  LayerNormWeights pre_norm;
  std::vector<VisionLayerWeights> layers;
  LayerNormWeights post_norm;
  Tensor adapter_in;   // [J, S D]
  Tensor adapter_out;  // [J, J]
  Tensor projector;    // [W, J]
};

/// A parameter of the tower under the names of both file formats.
struct VisionParameterInfo {
  ParameterInfo hf;
  std::string gguf;  // in llama.cpp's projector files ("mmproj")
};

/// The parameters of the tower in the order of its computation: the one list that loading, saving
/// and initialising walk (docs/decisions/0009).
std::vector<VisionParameterInfo> vision_parameter_list(const VisionConfig& config);

/// Arranges tensors of any float dtype, each asked for by name; shapes are checked (CorruptFile
/// naming the tensor). Vectors are widened to f32.
VisionWeights arrange_vision_weights(const VisionConfig& config,
                                     const std::function<Tensor(const VisionParameterInfo&)>& get);

/// The tensors of `weights` in the order of the list.
std::vector<Tensor> vision_tensors(const VisionConfig& config, const VisionWeights& weights);

/// Random f32 parameters in the order of the list, a function of the seed: matrices with deviation
/// 1 / sqrt(inputs), those that end a residual branch smaller by the square root of the branches,
/// embeddings 1 / sqrt(D), norms one, biases zero.
std::vector<Tensor> initialise_vision(const VisionConfig& config, uint64_t seed,
                                      const DevicePtr& device);

/// How many parameters there are.
int64_t count_vision_parameters(const VisionConfig& config);

}  // namespace corral::model
