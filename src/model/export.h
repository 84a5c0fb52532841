#pragma once

#include <algorithm>
#include <cstdint>
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
  /// Runs of rows of the first axis that follow each other: an expert each of a stack, some
  /// megabytes of a large matrix, else the whole.
  int64_t parts;
  std::function<Tensor(int64_t part)> make;  // f32, or the dtype that the source has
};

/// Told as tensors are written: bytes done and in all.
using ExportProgress = std::function<void(int64_t done, int64_t total)>;

/// Runs of rows, each about 16 million elements.
struct RowParts {
  explicit RowParts(const Shape& shape);

  int64_t rows;      // in all
  int64_t per_part;  // but for the last
  int64_t count() const { return (rows + per_part - 1) / per_part; }
  int64_t begin(int64_t part) const { return part * per_part; }
  int64_t end(int64_t part) const { return std::min(rows, (part + 1) * per_part); }
};

/// All tensors of the text model in Hugging Face form, whatever form the weights have. The weights
/// must outlive the list.
std::vector<ExportTensor> hf_tensors(const Config& config, const TextWeights& weights);

/// The same in the form of llama.cpp's `llama4` architecture: expert tensors [E, F, D], gate and up
/// apart, and rope_freqs.weight when the config scales the frequencies.
std::vector<ExportTensor> gguf_tensors(const Config& config, const TextWeights& weights);

/// A matrix or a stack of them, and what GGUF files call it.
struct GgufMatrix {
  std::string name;
  const quant::LinearWeight* weight;
};

/// Every weight that is multiplied with. The weights must outlive the list.
std::vector<GgufMatrix> gguf_matrices(const Config& config, const TextWeights& weights);

/// rope_freqs.weight of a config that scales the frequencies: llama.cpp reads the scaling as
/// divisors of the plain frequencies.
ExportTensor rope_divisors(const Config& config, const DevicePtr& device);

/// Makes the values of all tensors and gives them to write(tensor, part, values). `bytes` says how
/// large a tensor is in the file.
template <class Write>
void write_tensors(const std::vector<ExportTensor>& tensors,
                   const std::function<int64_t(const ExportTensor&)>& bytes,
                   const ExportProgress& progress, const Write& write) {
  int64_t total = 0;
  for (const ExportTensor& tensor : tensors) total += bytes(tensor);
  int64_t done = 0;
  for (const ExportTensor& tensor : tensors) {
    const int64_t size = bytes(tensor);
    for (int64_t part = 0; part < tensor.parts; ++part) {
      write(tensor, part, tensor.make(part));
      if (progress) progress(done + size / tensor.parts * (part + 1), total);
    }
    done += size;
  }
}

}  // namespace corral::model
