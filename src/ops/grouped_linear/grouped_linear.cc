#include "ops/grouped_linear/grouped_linear.h"

#include <algorithm>
#include <vector>

#include "autograd/tape.h"
#include "base/error.h"
#include "ops/linear/coded_products.h"
#include "ops/linear/linear_products.h"

namespace corral::ops {
namespace {

void check_offsets(std::span<const int64_t> offsets, int64_t E, int64_t N) {
  if (std::ssize(offsets) != E + 1) {
    throw ShapeError(
        str("grouped_linear: ", offsets.size(), " offsets, ", E, " experts need ", E + 1));
  }
  if (offsets.front() != 0 || offsets.back() != N ||
      !std::is_sorted(offsets.begin(), offsets.end())) {
    throw ShapeError(str("grouped_linear: offsets must ascend from 0 to ", N));
  }
}

/// product(e, rows) of every expert that has rows.
template <class MakeProduct>
Products products_of(std::span<const int64_t> offsets, const MakeProduct& product) {
  Products products;
  for (size_t e = 0; e + 1 < offsets.size(); ++e) {
    const RowRange rows = {offsets[e], offsets[e + 1]};
    if (rows.begin == rows.end) continue;
    products.append([&] { return product(static_cast<int64_t>(e), rows); });
  }
  return products;
}

void check(const Tensor& x_NK, const quant::LinearWeight& w, std::span<const int64_t> offsets) {
  check_linear("grouped_linear", x_NK, w);
  if (x_NK.rank() != 2)
    throw ShapeError(str("grouped_linear: x is ", x_NK.shape(), ", needs [N, K]"));
  check_offsets(offsets, w.count, x_NK.dim(0));
}

void multiply(const Tensor& x_NK, const quant::LinearWeight& w, Tensor& y_NF,
              std::span<const int64_t> offsets, quant::Precision precision) {
  if (w.coding == quant::Coding::kNone) {
    const auto products = products_of(
        offsets, [&](int64_t e, RowRange rows) { return forward_product(x_NK, w, y_NF, e, rows); });
    return matmul(*x_NK.device(), products, precision);
  }
  std::vector<CodedRows> products;
  for (size_t e = 0; e + 1 < offsets.size(); ++e) {
    products.push_back({static_cast<int64_t>(e), {offsets[e], offsets[e + 1]}});
  }
  coded_products(x_NK, w, y_NF, products, precision);
}

}  // namespace

Tensor grouped_linear(const Tensor& x_NK, const quant::LinearWeight& w,
                      std::span<const int64_t> offsets, quant::Precision precision) {
  check(x_NK, w, offsets);
  Tensor y_NF({x_NK.dim(0), w.out_features}, DType::kF32, x_NK.device());
  multiply(x_NK, w, y_NF, offsets, precision);
  if (!autograd::recording({x_NK, w.data})) return y_NF;

  // dx = dy W[e];   dW[e] += dy^T x
  auto backward = [x_NK = x_NK.detach(), w, precision,
                   offsets = std::vector<int64_t>(offsets.begin(), offsets.end())](
                      const Tensor& dy_NF, autograd::GradientSink& sink) {
    Device& device = *dy_NF.device();
    if (sink.needs(0)) {
      Tensor dx_NK = empty_like(x_NK);
      matmul(device,
             products_of(offsets,
                         [&](int64_t e, RowRange rows) {
                           return input_gradient_product("grouped_linear", dy_NF, w, dx_NK, e,
                                                         rows);
                         }),
             precision);
      sink.add(0, dx_NK);
    }
    if (sink.needs(1)) {
      Tensor dw = sink.into(1, w.data.shape(), dy_NF.device());
      matmul(device,
             products_of(offsets,
                         [&](int64_t e, RowRange rows) {
                           return weight_gradient_product("grouped_linear", dy_NF, x_NK, w, dw, e,
                                                          rows);
                         }),
             precision);
    }
  };
  return autograd::record("grouped_linear", {x_NK, w.data}, y_NF, backward);
}

void grouped_linear_each(const Tensor& x_NK, LinearWeights weights,
                         std::span<const int64_t> offsets, quant::Precision precision,
                         std::span<Tensor> outputs) {
  if (!computed_together(x_NK, weights)) {
    for (size_t i = 0; i < weights.size(); ++i) {
      outputs[i] = grouped_linear(x_NK, weights[i], offsets, precision);
    }
    return;
  }
  for (size_t i = 0; i < weights.size(); ++i) {
    const quant::LinearWeight& w = weights[i];
    check(x_NK, w, offsets);
    outputs[i] = Tensor({x_NK.dim(0), w.out_features}, DType::kF32, x_NK.device());
  }
  Products products;
  for (size_t e = 0; e + 1 < offsets.size(); ++e) {
    const RowRange rows = {offsets[e], offsets[e + 1]};
    if (rows.begin == rows.end) continue;
    for (size_t i = 0; i < weights.size(); ++i) {
      products.append([&] {
        return forward_product(x_NK, weights[i], outputs[i], static_cast<int64_t>(e), rows);
      });
    }
  }
  matmul(*x_NK.device(), products, precision);
}

}  // namespace corral::ops
