#include "ops/swiglu/swiglu.h"

#include <array>
#include <functional>
#include <utility>

#include "base/error.h"
#include "ops/grouped_linear/grouped_linear.h"
#include "ops/linear/linear.h"
#include "ops/linear/linear_products.h"
#include "ops/matmul/scratch.h"
#include "ops/silu_mul/silu_mul.h"

namespace corral::ops {
namespace {

void check_pair(const quant::LinearWeight& gate, const quant::LinearWeight& up) {
  if (gate.count != up.count || gate.out_features != up.out_features) {
    throw ShapeError(str("swiglu: gate is ", gate.count, " x ", gate.out_features, ", up is ",
                         up.count, " x ", up.out_features));
  }
}

/// What nothing is recorded of and all threads share.
Tensor multiply_together(const Tensor& x_NK, const quant::LinearWeight& gate,
                         const quant::LinearWeight& up, std::span<const int64_t> offsets,
                         quant::Precision precision) {
  check_grouped("swiglu", x_NK, gate, offsets);
  check_linear("swiglu", x_NK, up);
  Device& device = *x_NK.device();
  Tensor h_NF({x_NK.dim(0), gate.out_features}, DType::kF32, x_NK.device());
  const Scratch memory(device, h_NF.size_bytes());
  float* h = h_NF.mutable_data<float>();
  auto* up_NF = reinterpret_cast<float*>(memory.data());
  Products products;
  for (size_t e = 0; e + 1 < offsets.size(); ++e) {
    const RowRange rows = {offsets[e], offsets[e + 1]};
    if (rows.begin == rows.end) continue;
    const auto index = static_cast<int64_t>(e);
    products.append([&] { return forward_product(x_NK, gate, h, index, rows); });
    products.append([&] { return forward_product(x_NK, up, up_NF, index, rows); });
  }
  matmul(device, products, precision);
  silu_mul_in_place(device, h, up_NF, h_NF.numel());
  return h_NF;
}

}  // namespace

Tensor swiglu(const Tensor& x_TK, const quant::LinearWeight& gate, const quant::LinearWeight& up,
              quant::Precision precision) {
  check_pair(gate, up);
  if (computed_together(x_TK, std::array{std::cref(gate), std::cref(up)}) && x_TK.rank() == 2) {
    const std::array<int64_t, 2> all = {0, x_TK.dim(0)};
    return multiply_together(x_TK, gate, up, all, precision);
  }
  Tensor gate_TF = linear(x_TK, gate, precision);
  return silu_mul(std::move(gate_TF), linear(x_TK, up, precision));
}

Tensor grouped_swiglu(const Tensor& x_NK, const quant::LinearWeight& gate,
                      const quant::LinearWeight& up, std::span<const int64_t> offsets,
                      quant::Precision precision) {
  check_pair(gate, up);
  if (computed_together(x_NK, std::array{std::cref(gate), std::cref(up)})) {
    return multiply_together(x_NK, gate, up, offsets, precision);
  }
  Tensor gate_NF = grouped_linear(x_NK, gate, offsets, precision);
  return silu_mul(std::move(gate_NF), grouped_linear(x_NK, up, offsets, precision));
}

}  // namespace corral::ops
