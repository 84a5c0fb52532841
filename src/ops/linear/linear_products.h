#pragma once

#include <functional>
#include <span>

#include "base/small_vector.h"
#include "ops/matmul/matmul.h"
#include "quant/linear_weight.h"
#include "tensor/tensor.h"

namespace corral::ops {

// The three matrix products of a linear layer, shared by linear and grouped_linear. `index` is the
// matrix of the stack, rows the rows of x and y that it applies to.

struct RowRange {
  int64_t begin;
  int64_t end;
};

/// Products for one call of matmul(); a decode step has no more than these.
using Products = SmallVector<Product, 4>;

/// Rows of a tensor taken as a matrix over its last axis.
int64_t rows_of(const Tensor& x);

/// Throws as linear's and grouped_linear's contracts say; `op` names the caller.
void check_linear(const char* op, const Tensor& x, const quant::LinearWeight& w);

/// The same of a layer for groups of rows (grouped_linear.h): x is [N, K], w has a matrix a group,
/// and the offsets ascend from 0 to N.
void check_grouped(const char* op, const Tensor& x, const quant::LinearWeight& w,
                   std::span<const int64_t> offsets);

/// True when the products of x with these weights can be one call of matmul(): nothing is recorded,
/// no weight is coded, and all or none are in blocks.
bool computed_together(const Tensor& x,
                       std::span<const std::reference_wrapper<const quant::LinearWeight>> weights);

/// y = x W^T; y [rows of x, N], row-major.
Product forward_product(const Tensor& x, const quant::LinearWeight& w, float* y, int64_t index,
                        RowRange rows);
/// dx = dy W; throws NotSupported for a quantized w.
Product input_gradient_product(const char* op, const Tensor& dy, const quant::LinearWeight& w,
                               Tensor& dx, int64_t index, RowRange rows);
/// dW += dy^T x, dW in the layout of w; throws NotSupported for a quantized w.
Product weight_gradient_product(const char* op, const Tensor& dy, const Tensor& x,
                                const quant::LinearWeight& w, Tensor& dw, int64_t index,
                                RowRange rows);

}  // namespace corral::ops
