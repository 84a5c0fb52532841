#include "ops/grouped_linear/grouped_linear.h"

#include <vector>

#include "autograd/tape.h"
#include "base/error.h"
#include "ops/linear/coded_products.h"
#include "ops/linear/linear_products.h"

namespace corral::ops {
namespace {

/// product(e, rows) of every expert that has rows.
template <class MakeProduct>
Products products_of(std::span<const int64_t> offsets, const MakeProduct& product) {
  Products products;
  each_group(offsets,
             [&](int64_t e, RowRange rows) { products.append([&] { return product(e, rows); }); });
  return products;
}

void multiply(const Tensor& x_NK, const quant::LinearWeight& w, Tensor& y_NF,
              std::span<const int64_t> offsets, quant::Precision precision) {
  if (w.coding == quant::Coding::kNone) {
    float* y = y_NF.mutable_data<float>();
    const auto products = products_of(
        offsets, [&](int64_t e, RowRange rows) { return forward_product(x_NK, w, y, e, rows); });
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
  check_grouped("grouped_linear", x_NK, w, offsets);
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

void grouped_linear_each(std::span<const GroupedLayer> layers, quant::Precision precision,
                         std::span<Tensor> outputs) {
  Together together;
  for (const GroupedLayer& layer : layers) together.add(layer.x_NK, layer.w);
  if (!together || !worth_one_call(layers)) {
    for (size_t i = 0; i < layers.size(); ++i) {
      const GroupedLayer& layer = layers[i];
      outputs[i] = grouped_linear(layer.x_NK, layer.w, layer.offsets, precision);
    }
    return;
  }
  Products products;
  for (size_t i = 0; i < layers.size(); ++i) {
    const GroupedLayer& layer = layers[i];
    const Tensor& x_NK = layer.x_NK;
    check_grouped("grouped_linear", x_NK, layer.w, layer.offsets);
    outputs[i] = Tensor({x_NK.dim(0), layer.w.out_features}, DType::kF32, x_NK.device());
    float* y = outputs[i].mutable_data<float>();
    each_group(layer.offsets, [&](int64_t e, RowRange rows) {
      products.append([&] { return forward_product(x_NK, layer.w, y, e, rows); });
    });
  }
  if (!products.empty()) matmul(*layers.front().x_NK.device(), products, precision);
}

}  // namespace corral::ops
