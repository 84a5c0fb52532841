#pragma once

#include <cstdint>
#include <span>

#include "tensor/tensor.h"

namespace corral::ops {

/// Adds the gradient of the global-batch load-balancing loss to a router's logits:
///
///     L = coefficient * E * sum_e f_e P_e,
///     P_e = 1 / global_tokens * sum_t p_te,    p_te = sigmoid(l_te) / sum_e' sigmoid(l_te')
///
/// The value of the logits is unchanged, and the loss appears in no sum: it is the identity forward
/// and adds dL/dl backward. Use what it returns for the scores, so that the gradient arrives here.
///
/// logits_TE        [T, E]  f32; the tokens of this micro-batch.
/// load_fraction_E  f: the share of all (token, expert) pairs of the global batch that went to e;
///                  constant, sums to 1.
/// global_tokens    tokens of the global batch, over all micro-batches and processes; > 0.
/// Throws ShapeError when f has not E entries, Error when coefficient is not finite.
/// p is exact for all logits: both sigmoids are divided by a common factor before they can
/// underflow, so that a router cannot escape the loss by pushing all its logits down. Gradient:
/// dL/dl_te = coefficient * E / global_tokens * p_te (1 - sigmoid(l_te)) (f_e - sum_e' f_e' p_te').
/// Source: Qiu et al. 2025, arXiv:2501.11873, eq. 4, with the sigmoid scores of Llama 4's router.
Tensor balance_loss(const Tensor& logits_TE, std::span<const double> load_fraction_E,
                    double coefficient, int64_t global_tokens);

/// The value of L on these tokens, for reports. It is `coefficient` when all experts are alike.
double balance_loss_value(const Tensor& logits_TE, std::span<const double> load_fraction_E,
                          double coefficient, int64_t global_tokens);

}  // namespace corral::ops
