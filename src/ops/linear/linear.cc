#include "ops/linear/linear.h"

#include "autograd/tape.h"
#include "base/error.h"
#include "ops/linear/coded_products.h"
#include "ops/linear/linear_products.h"

namespace corral::ops {

namespace {

void check_one(const Tensor& x_TK, const quant::LinearWeight& w) {
  check_linear("linear", x_TK, w);
  if (w.count != 1) {
    throw ShapeError(str("linear: w is a stack of ", w.count, " matrices, needs one"));
  }
}

}  // namespace

Tensor linear(const Tensor& x_TK, const quant::LinearWeight& w, quant::Precision precision) {
  check_one(x_TK, w);
  Tensor y_TN(x_TK.shape().with_last(w.out_features), DType::kF32, x_TK.device());
  if (w.coding != quant::Coding::kNone) {
    const CodedRows all = {0, {0, rows_of(x_TK)}};
    coded_products(x_TK, w, y_TN, {&all, 1}, precision);
  } else {
    matmul(*x_TK.device(),
           forward_product(x_TK, w, y_TN.mutable_data<float>(), 0, {0, rows_of(x_TK)}), precision);
  }

  if (!autograd::recording({x_TK, w.data})) return y_TN;
  // dx = dy W;   dW += dy^T x
  auto backward = [x_TK = x_TK.detach(), w, precision](const Tensor& dy_TN,
                                                       autograd::GradientSink& sink) {
    Device& device = *dy_TN.device();
    const RowRange all = {0, rows_of(x_TK)};
    if (sink.needs(0)) {
      Tensor dx_TK = empty_like(x_TK);
      matmul(device, input_gradient_product("linear", dy_TN, w, dx_TK, 0, all), precision);
      sink.add(0, dx_TK);
    }
    if (sink.needs(1)) {
      Tensor dw = sink.into(1, w.data.shape(), dy_TN.device());
      matmul(device, weight_gradient_product("linear", dy_TN, x_TK, w, dw, 0, all), precision);
    }
  };
  return autograd::record("linear", {x_TK, w.data}, y_TN, backward);
}

void linear_each(const Tensor& x_TK, LinearWeights weights, quant::Precision precision,
                 std::span<Tensor> outputs) {
  Together together;
  for (const quant::LinearWeight& w : weights) together.add(x_TK, w);
  if (!together) {
    for (size_t i = 0; i < weights.size(); ++i) outputs[i] = linear(x_TK, weights[i], precision);
    return;
  }
  Products products;
  products.reserve(weights.size());
  for (size_t i = 0; i < weights.size(); ++i) {
    const quant::LinearWeight& w = weights[i];
    check_one(x_TK, w);
    outputs[i] = Tensor(x_TK.shape().with_last(w.out_features), DType::kF32, x_TK.device());
    float* y = outputs[i].mutable_data<float>();
    products.append([&] { return forward_product(x_TK, w, y, 0, {0, rows_of(x_TK)}); });
  }
  matmul(*x_TK.device(), products, precision);
}

}  // namespace corral::ops
