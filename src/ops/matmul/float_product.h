#pragma once

#include <span>

#include "ops/matmul/matmul.h"

namespace corral::ops {

/// The products of matmul() whose B is floats; `join` as of matmul_pairs(), or null of products
/// that are not pairs.
void float_matmul(Device& device, std::span<const Product> products, quant::Precision precision,
                  const JoinResults* join);

/// interleaving_of() a type of floats.
quant::Interleaving interleaving_of_floats(simd::Isa isa, DType dtype);

}  // namespace corral::ops
