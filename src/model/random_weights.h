#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "model/config.h"
#include "model/export.h"
#include "model/type_mix.h"

namespace corral::model {

/// Random weights of a model's shape, made as fast as a disk takes them, for trying out sizes that
/// no memory holds: `corral init`.
///
/// Deviations are those of initial_std(). Matrices whose rows are shorter than 1024 have the values
/// of initialise_parameter(), each drawn on its own. Longer rows are put together from a pool of
/// 4096 runs of 256 normal values, each run chosen at random; no two rows of a model come out
/// equal, and a block type needs only the pool to be quantized. Everything is a function of (seed,
/// parameter, row), the same for both file forms, any type but for its rounding, and any threads.
class RandomWeights {
 public:
  RandomWeights(const Config& config, uint64_t seed, const DevicePtr& device);
  ~RandomWeights();

  /// As hf_tensors() and gguf_tensors(): the tensors made in the type that they are to be stored
  /// in, where that is possible. The lists keep what they need.
  std::vector<ExportTensor> hf(DType dtype) const;
  std::vector<ExportTensor> gguf(const TypeMix& mix) const;

 private:
  class Maker;
  ExportTensor plain(const ParameterInfo& info, const std::string& name, DType dtype) const;

  Config config_;
  std::shared_ptr<Maker> maker_;
};

}  // namespace corral::model
