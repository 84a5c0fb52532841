#pragma once

#include "tensor/tensor.h"

namespace corral::ops {

/// The Gaussian error linear unit, exact:
///
///     y = x Phi(x),    Phi(x) = (1 + erf(x / sqrt(2))) / 2
///
/// x  f32, any shape. Phi is right to about 2e-7.
/// Throws NotSupported for another dtype. Backward saves x:
///     dx = dy (Phi(x) + x phi(x)),   phi(x) = exp(-x^2 / 2) / sqrt(2 pi).
/// Source: Hendrycks and Gimpel 2016, arXiv:1606.08415, section 2.
Tensor gelu(const Tensor& x);

}  // namespace corral::ops
