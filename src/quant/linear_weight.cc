#include "quant/linear_weight.h"

namespace corral::quant {
namespace {

Shape as_stack(const Tensor& data) {
  if (data.rank() == 2) return Shape{1, data.dim(0), data.dim(1)};
  if (data.rank() == 3) return data.shape();
  throw ShapeError(str("a linear weight has 2 axes, a stack of them 3, got ", data.shape()));
}

}  // namespace

LinearWeight LinearWeight::out_in(const Tensor& data) {
  const Shape stack = as_stack(data);
  if (stack[2] % block_elements(data.dtype()) != 0) {
    throw ShapeError(str("a ", data.dtype(), " weight of ", data.shape(),
                         ": rows must be multiples of ", block_elements(data.dtype())));
  }
  return {.data = data,
          .count = stack[0],
          .out_features = stack[1],
          .in_features = stack[2],
          .stride_count = stack[1] * stack[2],
          .stride_out = stack[2],
          .stride_in = 1};
}

LinearWeight LinearWeight::in_out(const Tensor& data, int64_t first, int64_t columns) {
  const Shape stack = as_stack(data);
  if (block_elements(data.dtype()) != 1) {
    throw NotSupported(str("a ", data.dtype(), " weight cannot be stored input by output"));
  }
  if (first < 0 || columns < 0 || first > stack[2] - columns) {
    throw ShapeError(str("columns [", first, ", ", first + columns, ") of ", data.shape()));
  }
  return {.data = data,
          .count = stack[0],
          .out_features = columns,
          .in_features = stack[1],
          .offset = first,
          .stride_count = stack[1] * stack[2],
          .stride_out = 1,
          .stride_in = stack[2]};
}

}  // namespace corral::quant
