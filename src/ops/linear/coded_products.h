#pragma once

#include <cstdint>
#include <span>

#include "ops/linear/linear_products.h"

namespace corral::ops {

/// Rows of x and the matrix of the stack that they are multiplied with.
struct CodedRows {
  int64_t index;
  RowRange rows;
};

/// y = x W^T for coded weights (quant/coded.h): strips of W are decoded to f32 and multiplied by
/// matmul(), so an element's bits depend on its row of x and its row of W alone.
void coded_products(const Tensor& x, const quant::LinearWeight& w, Tensor& y,
                    std::span<const CodedRows> products, quant::Precision precision);

}  // namespace corral::ops
