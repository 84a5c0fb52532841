#pragma once

#include <optional>
#include <vector>

#include "kv/batch.h"
#include "model/forward.h"
#include "model/layer_spec.h"
#include "model/weights.h"
#include "ops/rope/rope.h"

namespace corral::model {

/// The config's frequency scaling as the op takes it.
std::optional<ops::RopeScaling> rope_scaling(const Config& config);

/// Some rows of a batch, all that is wanted of a layer's result.
struct WantedRows {
  std::vector<int64_t> rows;  // [N], ascending
  kv::Batch batch;            // Batch::of_rows()

  /// Those rows of x [T, D], [N, D].
  Tensor of(const Tensor& x_TD) const;
};

/// One layer's attention: x [T, D] (already normalised) -> [T, D], or with a cache [N, D] of the
/// rows that are wanted (null: all); their bits are the same. Keys and values are those of all rows
/// in any case.
/// The order of RoPE, QK norm and temperature is that of Meta's reference (models/llama4/model.py).
Tensor attention(const Tensor& x_TD, const AttentionSpec& spec, const AttentionWeights& weights,
                 const ops::RopeFrequencies& rope, const kv::Batch& batch, int64_t layer,
                 const ForwardOptions& options, const WantedRows* wanted = nullptr);

}  // namespace corral::model
