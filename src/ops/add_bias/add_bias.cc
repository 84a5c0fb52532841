#include "ops/add_bias/add_bias.h"

#include <algorithm>

#include "autograd/tape.h"
#include "ops/add_bias/add_bias_kernel.h"

namespace corral::ops {
namespace {

constexpr int64_t kGrain = 1 << 14;  // elements
constexpr int64_t kBlockRows = 128;  // rows that are added before those of the next block

const AddBiasKernel& kernel_of(const Tensor& x) {
  return simd::choose(x.device()->isa(), portable::kAddBias, avx2::kAddBias, avx512::kAddBias);
}

void check(const Tensor& x, const Tensor& b_D) {
  if (x.rank() == 0) throw ShapeError("add_bias: x is a scalar, needs a last axis");
  if (b_D.shape() != Shape{x.dim(-1)}) {
    throw ShapeError(str("add_bias: b is ", b_D.shape(), ", x needs [", x.dim(-1), "]"));
  }
  if (x.dtype() != DType::kF32 || b_D.dtype() != DType::kF32) {
    throw NotSupported(str("add_bias: x is ", x.dtype(), ", b is ", b_D.dtype(), ", needs f32"));
  }
}

Tensor sum_of_rows(const Tensor& x, int64_t D) {
  const int64_t rows = D == 0 ? 0 : x.numel() / D;
  const int64_t blocks = (rows + kBlockRows - 1) / kBlockRows;
  Tensor parts_BD({blocks, D}, DType::kF32, x.device());
  const AddBiasKernel& kernel = kernel_of(x);
  const auto* from = x.data<float>();
  auto* parts = parts_BD.mutable_data<float>();
  x.device()->threads().parallel_for(blocks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b) {
      const int64_t first = b * kBlockRows;
      kernel.sum_rows(from + first * D, parts + b * D, std::min(kBlockRows, rows - first), D);
    }
  });
  Tensor sum_D({D}, DType::kF32, x.device());
  kernel.sum_rows(parts, sum_D.mutable_data<float>(), blocks, D);
  return sum_D;
}

}  // namespace

Tensor add_bias(const Tensor& x, const Tensor& b_D) {
  check(x, b_D);
  const int64_t D = x.dim(-1);
  const int64_t rows = D == 0 ? 0 : x.numel() / D;
  Tensor y = empty_like(x);
  const AddBiasKernel& kernel = kernel_of(x);
  const auto* from = x.data<float>();
  const auto* b = b_D.data<float>();
  auto* to = y.mutable_data<float>();
  x.device()->threads().parallel_for(rows, std::max<int64_t>(1, kGrain / std::max<int64_t>(1, D)),
                                     [&](int64_t begin, int64_t end) {
                                       kernel.forward(from + begin * D, b, to + begin * D,
                                                      end - begin, D);
                                     });
  return autograd::record("add_bias", {x, b_D}, y,
                          [D](const Tensor& dy, autograd::GradientSink& sink) {
                            if (sink.needs(0)) sink.add(0, dy);
                            if (sink.needs(1)) sink.add(1, sum_of_rows(dy, D));
                          });
}

}  // namespace corral::ops
