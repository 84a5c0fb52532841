#include "ops/linear/linear_products.h"

#include <algorithm>
#include <array>

#include "autograd/tape.h"
#include "base/error.h"
#include "quant/coded.h"

namespace corral::ops {
namespace {

MatrixView rows_view(const Tensor& x, RowRange rows) {
  const int64_t width = x.dim(-1);
  return {
      x.data<float>() + rows.begin * width, DType::kF32, rows.end - rows.begin, width, width, 1};
}

/// Matrix `index` of the stack, [N, K].
MatrixView weight_view(const quant::LinearWeight& w, int64_t index) {
  const int64_t offset = w.offset + index * w.stride_count;
  const DType dtype = w.data.dtype();
  return {w.data.data<std::byte>() + bytes_of(dtype, offset),
          dtype,
          w.out_features,
          w.in_features,
          w.stride_out,
          w.stride_in,
          w.interleaving};
}

void check_gradient(const char* op, const quant::LinearWeight& w) {
  if (w.coding != quant::Coding::kNone) {
    throw NotSupported(str(op, ": no gradient through int4 or FP8 weights"));
  }
  if (w.interleaving) throw NotSupported(str(op, ": no gradient through interleaved weights"));
  if (block_elements(w.data.dtype()) != 1) {
    throw NotSupported(str(op, ": no gradient through ", w.data.dtype(), " weights"));
  }
}

/// One matrix after the other, and nothing else in their data, as most weights lie.
bool fills_its_data(const quant::LinearWeight& w) {
  int64_t matrix = 0;
  int64_t all = 0;
  return w.stride_in == 1 && w.stride_out == w.in_features && w.offset == 0 && w.count > 0 &&
         w.in_features > 0 && !__builtin_mul_overflow(w.out_features, w.in_features, &matrix) &&
         !__builtin_mul_overflow(w.count, matrix, &all) && all == w.data.numel() &&
         (w.count == 1 || w.stride_count == matrix);
}

bool fits(const quant::LinearWeight& w) {
  if (fills_its_data(w)) return true;
  if (w.count < 0 || w.out_features < 0 || w.in_features < 0 || w.offset < 0) return false;
  if (w.count == 0 || w.out_features == 0 || w.in_features == 0) return true;
  int64_t room = w.data.numel() - 1 - w.offset;
  const std::array<std::array<int64_t, 2>, 3> axes = {
      {{w.count, w.stride_count}, {w.out_features, w.stride_out}, {w.in_features, w.stride_in}}};
  for (const auto& [count, stride] : axes) {
    if (count == 1) continue;
    int64_t last = 0;
    if (stride < 0 || __builtin_mul_overflow(count - 1, stride, &last) || last > room) return false;
    room -= last;
  }
  return room >= 0;
}

bool whole_blocks(const quant::LinearWeight& w) {
  const int64_t block = block_elements(w.data.dtype());
  if (block == 1) return true;
  // A block has 2^n elements, which divide numbers whose bits together they divide.
  const int64_t bits = w.in_features | w.stride_out | w.stride_count | w.offset;
  return w.stride_in == 1 && (bits & (block - 1)) == 0;
}

}  // namespace

int64_t rows_of(const Tensor& x) {
  int64_t rows = 1;
  for (int axis = 0; axis + 1 < x.rank(); ++axis) rows *= x.dim(axis);
  return rows;
}

void check_linear(const char* op, const Tensor& x, const quant::LinearWeight& w) {
  if (x.dtype() != DType::kF32) throw NotSupported(str(op, ": x is ", x.dtype(), ", needs f32"));
  if (x.rank() == 0) throw ShapeError(str(op, ": x is a scalar, needs a last axis"));
  if (x.dim(-1) != w.in_features) {
    throw ShapeError(
        str(op, ": x is ", x.shape(), ", w needs ", w.in_features, " in the last axis"));
  }
  if (w.coding != quant::Coding::kNone) return quant::check_coded(op, w);
  if (!fits(w)) {
    throw ShapeError(str(op, ": w of ", w.count, " x ", w.out_features, " x ", w.in_features,
                         " does not lie in its data ", w.data.shape()));
  }
  if (!whole_blocks(w)) {
    throw ShapeError(str(op, ": rows of a ", w.data.dtype(), " weight must be whole blocks"));
  }
}

void check_grouped(const char* op, const Tensor& x, const quant::LinearWeight& w,
                   std::span<const int64_t> offsets) {
  check_linear(op, x, w);
  if (x.rank() != 2) throw ShapeError(str(op, ": x is ", x.shape(), ", needs [N, K]"));
  if (std::ssize(offsets) != w.count + 1) {
    throw ShapeError(
        str(op, ": ", offsets.size(), " offsets, ", w.count, " experts need ", w.count + 1));
  }
  const int64_t N = x.dim(0);
  if (offsets.front() != 0 || offsets.back() != N ||
      !std::is_sorted(offsets.begin(), offsets.end())) {
    throw ShapeError(str(op, ": offsets must ascend from 0 to ", N));
  }
}

void Together::add(const Tensor& x, const quant::LinearWeight& w) {
  possible_ = possible_ && w.coding == quant::Coding::kNone && !autograd::recording({x, w.data});
  (is_block(w.data.dtype()) ? blocks_ : others_) = true;
}

Product forward_product(const Tensor& x, const quant::LinearWeight& w, float* y, int64_t index,
                        RowRange rows) {
  const int64_t N = w.out_features;
  return {.a_MK = rows_view(x, rows),
          .b_NK = weight_view(w, index),
          .c_MN = {y + rows.begin * N, rows.end - rows.begin, N, N, 1},
          .accumulate = false};
}

Product input_gradient_product(const char* op, const Tensor& dy, const quant::LinearWeight& w,
                               Tensor& dx, int64_t index, RowRange rows) {
  check_gradient(op, w);
  const int64_t K = w.in_features;
  return {.a_MK = rows_view(dy, rows),
          .b_NK = weight_view(w, index).transposed(),
          .c_MN = {dx.mutable_data<float>() + rows.begin * K, rows.end - rows.begin, K, K, 1},
          .accumulate = false};
}

Product weight_gradient_product(const char* op, const Tensor& dy, const Tensor& x,
                                const quant::LinearWeight& w, Tensor& dw, int64_t index,
                                RowRange rows) {
  check_gradient(op, w);
  const int64_t offset = w.offset + index * w.stride_count;
  return {.a_MK = rows_view(dy, rows).transposed(),
          .b_NK = rows_view(x, rows).transposed(),
          .c_MN = {dw.mutable_data<float>() + offset, w.out_features, w.in_features, w.stride_out,
                   w.stride_in},
          .accumulate = true};
}

}  // namespace corral::ops
