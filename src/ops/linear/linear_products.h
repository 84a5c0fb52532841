#pragma once

#include <algorithm>
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

/// f(e, rows) of every group e that has rows, which begin at offsets[e] (grouped_linear.h).
template <class F>
void each_group(std::span<const int64_t> offsets, const F& f) {
  for (size_t e = 0; e + 1 < offsets.size(); ++e) {
    const RowRange rows = {offsets[e], offsets[e + 1]};
    if (rows.begin != rows.end) f(static_cast<int64_t>(e), rows);
  }
}

/// Whether some products can be one call of matmul(): nothing is recorded, no weight is coded, and
/// all or none are in blocks.
class Together {
 public:
  void add(const Tensor& x, const quant::LinearWeight& w);
  explicit operator bool() const { return possible_ && !(blocks_ && others_); }

 private:
  bool possible_ = true;
  bool blocks_ = false;
  bool others_ = false;
};

/// Whether layers of which each has an x_NK of its own are faster as one call of matmul(), in which
/// threads wait for one another once. Of many rows each layer fills the caches with its own.
template <class Layer>
bool worth_one_call(std::span<const Layer> layers) {
  constexpr int64_t kMostRows = 32;
  return std::all_of(layers.begin(), layers.end(),
                     [](const Layer& layer) { return layer.x_NK.dim(0) <= kMostRows; });
}

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
