#pragma once

#include <span>

#include "ops/matmul/matmul.h"
#include "ops/matmul/matmul_kernel.h"

namespace corral::ops {

/// The products of matmul() whose B is of any block type: strips of rows of B are dequantized and
/// multiplied as f32 by `kernel`, so an element has the bits of the f32 product with the
/// dequantized matrix. Throws NotSupported unless A is f32 and rows of both lie along k.
void block_matmul(Device& device, const MatmulKernel& kernel, std::span<const Product> products);

}  // namespace corral::ops
