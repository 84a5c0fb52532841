#pragma once

#include <span>

#include "ops/matmul/matmul.h"

namespace corral::ops {

/// The products of matmul() whose B is in q8_0 blocks. Rows of A are quantized to bytes (their
/// largest value is kept to 1/254), so a product is exact integers between scales. Every element's
/// bits depend on its rows of A and B alone.
void q8_0_matmul(Device& device, std::span<const Product> products);

}  // namespace corral::ops
