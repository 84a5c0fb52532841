#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "autograd/tape.h"
#include "support/tensors.h"

namespace corral::test {

/// Bound on the relative L2 error |y - y*| / |y*| of a result whose elements are sums of `terms`
/// products of values rounded to `dtype` and added in f32. Every element carries a handful of
/// roundings of relative size u; in a chain of n additions the partial sums grow as sqrt(n), and so
/// does the sum of their (independent) rounding errors relative to the result: about 0.4 u sqrt(n),
/// here with a factor of five in hand.
inline double tolerance(DType dtype, int64_t terms = 1) {
  double unit = 0x1p-24;
  double rounding = 0;  // of the operands, once each
  if (dtype == DType::kF16) rounding = 0x1p-11;
  if (dtype == DType::kBF16) rounding = 0x1p-8;
  if (dtype == DType::kQ8_0) rounding = 1.0 / 127;
  return 2 * rounding + unit * (8 + 2 * std::sqrt(static_cast<double>(terms)));
}

using Values = std::vector<std::vector<double>>;

/// One use of an op, with what it should compute. `op` gets the inputs on the device under test and
/// must take everything else by value; `reference` gets the same inputs in double and returns the
/// output flattened.
struct OpCase {
  std::string name;
  std::vector<Tensor> inputs;
  std::function<Tensor(const std::vector<Tensor>&)> op;
  std::function<std::vector<double>(const Values&)> reference;
  int64_t terms = 1;                   // products summed for one element of the output
  DType dtype = DType::kF32;           // to which operands are rounded before they are multiplied
  std::vector<size_t> constants = {};  // inputs without a gradient (integers are anyway)
  std::optional<double> gradient_tolerance = {};
};

namespace detail {

inline bool has_gradient(const OpCase& c, size_t i) {
  const DType dtype = c.inputs[i].dtype();
  return (dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16) &&
         std::find(c.constants.begin(), c.constants.end(), i) == c.constants.end();
}

inline std::vector<Tensor> inputs_on(const OpCase& c, const DevicePtr& device, bool parameters) {
  std::vector<Tensor> inputs;
  for (size_t i = 0; i < c.inputs.size(); ++i) {
    const Tensor x = copy_to(c.inputs[i], device);
    inputs.push_back(parameters && has_gradient(c, i) ? autograd::parameter(x) : x);
  }
  return inputs;
}

inline Values double_inputs(const OpCase& c) {
  Values values;
  for (const Tensor& x : c.inputs) values.push_back(to_double(x));
  return values;
}

inline Values finite_differences(const OpCase& c, const std::vector<double>& dy) {
  Values inputs = double_inputs(c);
  Values gradients(inputs.size());
  const auto objective = [&] {
    const std::vector<double> y = c.reference(inputs);
    double sum = 0;
    for (size_t i = 0; i < y.size(); ++i) sum += dy[i] * y[i];
    return sum;
  };
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (!has_gradient(c, i)) continue;
    for (double& x : inputs[i]) {
      const double at = x;
      const double step = 1e-5 * std::max(1.0, std::abs(at));
      x = at + step;
      const double above = objective();
      x = at - step;
      const double below = objective();
      x = at;
      gradients[i].push_back((above - below) / (2 * step));
    }
  }
  return gradients;
}

inline std::vector<Tensor> tape_gradients(const OpCase& c, const DevicePtr& device) {
  const std::vector<Tensor> inputs = inputs_on(c, device, true);
  const Tensor y = c.op(inputs);
  autograd::backward(y, randn(y.shape(), 0xD1, device));
  std::vector<Tensor> gradients;
  for (const Tensor& x : inputs) gradients.push_back(autograd::gradient(x));
  return gradients;
}

}  // namespace detail

/// Compares the op with its reference on every instruction set that the machine has; the result
/// must have the same bits for 1, 2 and 3 threads and in a second run.
inline void check_forward(const OpCase& c) {
  const std::vector<double> wanted = c.reference(detail::double_inputs(c));
  for (const simd::Isa isa : machine_isas()) {
    SCOPED_TRACE(c.name + " on " + std::string(simd::isa_name(isa)));
    Tensor first;
    for (const int threads : {1, 1, 2, 3}) {
      const DevicePtr device = test_device(isa, threads);
      const Tensor y = c.op(detail::inputs_on(c, device, false));
      ASSERT_EQ(y.numel(), static_cast<int64_t>(wanted.size()));
      EXPECT_EQ(y.node(), nullptr) << "an op without parameters must not write the tape";
      if (!first.defined()) first = y;
      EXPECT_TRUE(same_bits(first, y)) << "other bits with " << threads << " threads";
    }
    EXPECT_LE(relative_error(to_double(first), wanted), tolerance(c.dtype, c.terms));
  }
}

/// Compares the tape's gradients of sum(dy * y), dy fixed and random, with central differences of
/// the reference in double (whose own error is about 1e-9), for each instruction set; same bits for
/// 1 and 3 threads. A backward rule is a few forward passes long, hence eight times their
/// tolerance.
inline void check_grad(const OpCase& c) {
  const double bound = c.gradient_tolerance.value_or(8 * tolerance(c.dtype, c.terms) + 1e-7);
  const size_t outputs = c.reference(detail::double_inputs(c)).size();
  const Tensor dy = randn({static_cast<int64_t>(outputs)}, 0xD1);
  const Values wanted = detail::finite_differences(c, to_double(dy));
  for (const simd::Isa isa : machine_isas()) {
    SCOPED_TRACE(c.name + " on " + std::string(simd::isa_name(isa)));
    const std::vector<Tensor> got = detail::tape_gradients(c, test_device(isa, 1));
    const std::vector<Tensor> again = detail::tape_gradients(c, test_device(isa, 3));
    for (size_t i = 0; i < got.size(); ++i) {
      if (!detail::has_gradient(c, i)) continue;
      ASSERT_TRUE(got[i].defined()) << "input " << i << " got no gradient";
      EXPECT_LE(relative_error(to_double(got[i]), wanted[i]), bound) << "gradient of input " << i;
      EXPECT_TRUE(same_bits(got[i], again[i])) << "input " << i << ": other bits with 3 threads";
    }
  }
}

}  // namespace corral::test
