#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "quant/linear_weight.h"
#include "tensor/tensor.h"

namespace corral::ops {

/// The target of a row that has no part in the loss.
inline constexpr int32_t kIgnoredTarget = -100;

struct CrossEntropy {
  Tensor loss;               // [1], on the tape
  std::vector<float> nll_T;  // -ln p(target) of each row; 0 where it is ignored
  double nll_sum = 0;        // over the supervised rows, in row order
  double z_loss = 0;         // the part of `loss` that is not cross-entropy
  int64_t supervised = 0;    // rows with a target
};

/// Readout, softmax and negative log-likelihood in one op:
///
///     l_t = readout hidden_t,  z_t = ln sum_v e^l_tv,  nll_t = z_t - l_t,target
///     loss = 1 / denominator * sum over rows with a target of (nll_t + z_loss z_t^2)
///
/// hidden_TD   [T, D]  f32.
/// readout_VD  one matrix [V, D] of any weight type and layout.
/// targets     T ids in [0, V), or -100: such rows cost nothing.
/// denominator > 0: the supervised tokens of the whole step, over all micro-batches.
/// z_loss      >= 0; keeps the logits' scale in bounds (PaLM, arXiv:2204.02311, section 5).
/// Logits exist for at most 256 rows (and about a million elements) at a time. Sums of e^l are f32
/// over the largest taken out; the sum over rows is double in row order. A row's nll has the same
/// bits whatever the other rows and the number of threads. When the tape is written, dl = (softmax
/// - onehot) / denominator, dhidden = dl readout and dreadout = dl^T hidden are computed here,
/// slice by slice, in `precision`; backward scales them. Throws ShapeError when sizes differ, Error
/// naming the first row whose target is not in the vocabulary or when denominator or z_loss is out
/// of range, NotSupported for a gradient through block-quantized weights.
CrossEntropy cross_entropy(const Tensor& hidden_TD, const quant::LinearWeight& readout_VD,
                           std::span<const int32_t> targets, double denominator,
                           quant::Precision precision, float z_loss = 0);

/// nll_T alone, without a tape: for perplexity and scoring.
std::vector<float> token_nll(const Tensor& hidden_TD, const quant::LinearWeight& readout_VD,
                             std::span<const int32_t> targets, quant::Precision precision);

}  // namespace corral::ops
