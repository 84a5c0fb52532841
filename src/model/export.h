#pragma once

#include <functional>
#include <string>
#include <vector>

#include "model/weights.h"

namespace corral::model {

/// One tensor of a checkpoint to be written: what it will be, and how to get its values when its
/// turn comes, a part after the other, so that no more than a matrix is in memory.
struct ExportTensor {
  std::string name;
  Shape shape;
  Role role;
  /// Runs of the first axis that follow each other: an expert each of a stack, else the whole.
  int64_t parts;
  std::function<Tensor(int64_t part)> make;  // f32, or the dtype that the source has
};

/// All tensors of the text model in Hugging Face form, whatever form the weights have. The weights
/// must outlive the list.
std::vector<ExportTensor> hf_tensors(const Config& config, const TextWeights& weights);

/// The same in the form of llama.cpp's `llama4` architecture: expert tensors [E, F, D], gate and up
/// apart, and rope_freqs.weight when the config scales the frequencies.
std::vector<ExportTensor> gguf_tensors(const Config& config, const TextWeights& weights);

}  // namespace corral::model
