#include "ops/layer_norm/layer_norm.h"

#include <algorithm>

#include "autograd/tape.h"
#include "ops/layer_norm/layer_norm_kernel.h"

namespace corral::ops {
namespace {

constexpr int64_t kGrain = 1 << 13;  // elements
constexpr int64_t kBlockRows = 128;  // rows whose gradients are added before those of the next

const LayerNormKernel& kernel_of(const Tensor& x) {
  return simd::choose(x.device()->isa(), portable::kLayerNorm, avx2::kLayerNorm,
                      avx512::kLayerNorm);
}

void check(const Tensor& x, const Tensor& w_D, const Tensor& b_D) {
  if (x.rank() == 0) throw ShapeError("layer_norm: x is a scalar, needs a last axis");
  const int64_t D = x.dim(-1);
  if (w_D.shape() != Shape{D} || b_D.shape() != Shape{D}) {
    throw ShapeError(
        str("layer_norm: w is ", w_D.shape(), ", b is ", b_D.shape(), ", x needs [", D, "]"));
  }
  if (x.dtype() != DType::kF32 || w_D.dtype() != DType::kF32 || b_D.dtype() != DType::kF32) {
    throw NotSupported(str("layer_norm: x is ", x.dtype(), ", w is ", w_D.dtype(), ", b is ",
                           b_D.dtype(), ", needs f32"));
  }
}

/// What the backward pass reads.
struct Saved {
  Tensor x;
  Tensor w_D;
  Tensor mean_N;
  Tensor r_N;

  int64_t rows() const { return r_N.numel(); }
  int64_t D() const { return x.dim(-1); }
  int64_t grain() const { return std::max<int64_t>(1, kGrain / std::max<int64_t>(1, D())); }
};

Tensor input_gradient(const Tensor& dy, const Saved& saved) {
  Tensor dx = empty_like(saved.x);
  const LayerNormKernel& kernel = kernel_of(saved.x);
  const int64_t D = saved.D();
  const auto* from_dy = dy.data<float>();
  const auto* x = saved.x.data<float>();
  const auto* w = saved.w_D.data<float>();
  const auto* mean = saved.mean_N.data<float>();
  const auto* r = saved.r_N.data<float>();
  auto* to = dx.mutable_data<float>();
  saved.x.device()->threads().parallel_for(
      saved.rows(), saved.grain(), [&](int64_t begin, int64_t end) {
        kernel.input_gradient(from_dy + begin * D, x + begin * D, w, mean + begin, r + begin,
                              to + begin * D, end - begin, D);
      });
  return dx;
}

/// [2, D]: dw, then db.
Tensor weight_gradients(const Tensor& dy, const Saved& saved) {
  const int64_t D = saved.D();
  const int64_t blocks = (saved.rows() + kBlockRows - 1) / kBlockRows;
  Tensor parts_BD({blocks, 2 * D}, DType::kF32, dy.device());
  const LayerNormKernel& kernel = kernel_of(saved.x);
  const auto* from_dy = dy.data<float>();
  const auto* x = saved.x.data<float>();
  const auto* mean = saved.mean_N.data<float>();
  const auto* r = saved.r_N.data<float>();
  auto* parts = parts_BD.mutable_data<float>();
  dy.device()->threads().parallel_for(blocks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b) {
      const int64_t first = b * kBlockRows;
      float* part = parts + b * 2 * D;
      kernel.weight_gradient(from_dy + first * D, x + first * D, mean + first, r + first, part,
                             part + D, std::min(kBlockRows, saved.rows() - first), D);
    }
  });
  Tensor sums = Tensor::zeros({2, D}, DType::kF32, dy.device());
  auto* to = sums.mutable_data<float>();
  for (int64_t b = 0; b < blocks; ++b) {
    for (int64_t i = 0; i < 2 * D; ++i) to[i] += parts[b * 2 * D + i];
  }
  return sums;
}

}  // namespace

Tensor layer_norm(const Tensor& x, const Tensor& w_D, const Tensor& b_D, float eps) {
  check(x, w_D, b_D);
  const int64_t D = x.dim(-1);
  const int64_t rows = D == 0 ? 0 : x.numel() / D;
  Tensor y = empty_like(x);
  Saved saved = {x.detach(), w_D.detach(), Tensor({rows}, DType::kF32, x.device()),
                 Tensor({rows}, DType::kF32, x.device())};
  const LayerNormKernel& kernel = kernel_of(x);
  const auto* from = x.data<float>();
  const auto* w = w_D.data<float>();
  const auto* b = b_D.data<float>();
  auto* to = y.mutable_data<float>();
  auto* mean = saved.mean_N.mutable_data<float>();
  auto* r = saved.r_N.mutable_data<float>();
  x.device()->threads().parallel_for(rows, saved.grain(), [&](int64_t begin, int64_t end) {
    kernel.forward(from + begin * D, w, b, eps, to + begin * D, mean + begin, r + begin,
                   end - begin, D);
  });

  auto backward = [saved = std::move(saved)](const Tensor& dy, autograd::GradientSink& sink) {
    if (sink.needs(0)) sink.add(0, input_gradient(dy, saved));
    if (!sink.needs(1) && !sink.needs(2)) return;
    const Tensor sums = weight_gradients(dy, saved);
    const Shape shape = saved.w_D.shape();
    if (sink.needs(1)) sink.add(1, sums.rows(0, 1).clone().view(shape));
    if (sink.needs(2)) sink.add(2, sums.rows(1, 2).clone().view(shape));
  };
  return autograd::record("layer_norm", {x, w_D, b_D}, y, std::move(backward));
}

}  // namespace corral::ops
