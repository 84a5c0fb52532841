#include "ops/swiglu/swiglu.h"

#include <array>
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

bool computed_together(std::span<const GroupedSwiglu> layers) {
  Together together;
  for (const GroupedSwiglu& layer : layers) {
    together.add(layer.x_NK, layer.gate);
    together.add(layer.x_NK, layer.up);
  }
  return static_cast<bool>(together);
}

/// gate = silu(gate) * up in an area of both.
void gate_area(const Device& device, const MutableMatrix& gate, const MutableMatrix& up,
               const Area& area) {
  for (int64_t row = area.row; row < area.row + area.rows; ++row) {
    silu_mul_here(device, gate.data + row * gate.row_stride + area.col,
                  up.data + row * up.row_stride + area.col, area.cols);
  }
}

/// What nothing is recorded of and all threads share.
void multiply_together(std::span<const GroupedSwiglu> layers, quant::Precision precision,
                       std::span<Tensor> outputs) {
  int64_t up_floats = 0;
  for (size_t i = 0; i < layers.size(); ++i) {
    const auto& [x_NK, gate, up, offsets] = layers[i];
    check_pair(gate, up);
    check_grouped("swiglu", x_NK, gate, offsets);
    check_linear("swiglu", x_NK, up);
    outputs[i] = Tensor({x_NK.dim(0), gate.out_features}, DType::kF32, x_NK.device());
    up_floats += outputs[i].numel();
  }
  Device& device = *layers.front().x_NK.device();
  const Scratch memory(device, up_floats * static_cast<int64_t>(sizeof(float)));
  Products products;
  auto* up_NF = reinterpret_cast<float*>(memory.data());
  for (size_t i = 0; i < layers.size(); ++i) {
    const GroupedSwiglu& layer = layers[i];
    float* h_NF = outputs[i].mutable_data<float>();
    each_group(layer.offsets, [&](int64_t e, RowRange rows) {
      products.append([&] { return forward_product(layer.x_NK, layer.gate, h_NF, e, rows); });
      products.append([&] { return forward_product(layer.x_NK, layer.up, up_NF, e, rows); });
    });
    up_NF += outputs[i].numel();
  }
  matmul_pairs(device, products, precision,
               [&](const Product& gate_of, const Product& up_of, const Area& area) {
                 gate_area(device, gate_of.c_MN, up_of.c_MN, area);
               });
}

Tensor one_layer(const GroupedSwiglu& layer, quant::Precision precision) {
  const auto& [x_NK, gate, up, offsets] = layer;
  if (computed_together({&layer, 1})) {
    Tensor h_NF;
    multiply_together({&layer, 1}, precision, {&h_NF, 1});
    return h_NF;
  }
  check_pair(gate, up);
  Tensor gate_NF = grouped_linear(x_NK, gate, offsets, precision);
  return silu_mul(std::move(gate_NF), grouped_linear(x_NK, up, offsets, precision));
}

}  // namespace

Tensor swiglu(const Tensor& x_TK, const quant::LinearWeight& gate, const quant::LinearWeight& up,
              quant::Precision precision) {
  if (x_TK.rank() == 2) {
    const std::array<int64_t, 2> all = {0, x_TK.dim(0)};
    return one_layer({x_TK, gate, up, all}, precision);
  }
  check_pair(gate, up);
  Tensor gate_TF = linear(x_TK, gate, precision);
  return silu_mul(std::move(gate_TF), linear(x_TK, up, precision));
}

Tensor grouped_swiglu(const Tensor& x_NK, const quant::LinearWeight& gate,
                      const quant::LinearWeight& up, std::span<const int64_t> offsets,
                      quant::Precision precision) {
  return one_layer({x_NK, gate, up, offsets}, precision);
}

void grouped_swiglu_each(std::span<const GroupedSwiglu> layers, quant::Precision precision,
                         std::span<Tensor> outputs) {
  if (worth_one_call(layers) && computed_together(layers)) {
    return multiply_together(layers, precision, outputs);
  }
  for (size_t i = 0; i < layers.size(); ++i) outputs[i] = one_layer(layers[i], precision);
}

}  // namespace corral::ops
