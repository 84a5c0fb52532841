#pragma once

#include <span>

#include "ops/matmul/matmul.h"

namespace corral::ops {

/// The products of matmul() whose B is in blocks. Rows of A are quantized to bytes (the largest
/// value of 32 is kept to 1/254, with weights of at most four bits to 1/127), so a product is exact
/// integers between scales (block_kernel.h). Every element's bits depend on its rows of A and B
/// alone. Products that share A quantize it once. `join` as of matmul_pairs(), or null of products
/// that are not pairs.
void block_matmul(Device& device, std::span<const Product> products, const JoinResults* join);

/// interleaving_of() a type of blocks.
quant::Interleaving interleaving_of_blocks(simd::Isa isa, DType dtype);

}  // namespace corral::ops
