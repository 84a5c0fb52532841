#pragma once

#include <utility>

#include "autograd/tape.h"

namespace corral::test {

// The least ops with which a tape can be tested without the floor above it.

inline Tensor map2(const Tensor& a, const Tensor& b, float (*f)(float, float)) {
  Tensor y = empty_like(a);
  auto* to = y.mutable_data<float>();
  const auto* from_a = a.data<float>();
  const auto* from_b = b.data<float>();
  for (int64_t i = 0; i < a.numel(); ++i) to[i] = f(from_a[i], from_b[i]);
  return y;
}

inline Tensor product(const Tensor& a, const Tensor& b) {
  return map2(a, b, [](float x, float y) { return x * y; });
}

/// a * b, element by element.
inline Tensor times(const Tensor& a, const Tensor& b) {
  return autograd::record(
      "times", {a, b}, product(a, b),
      [a = a.detach(), b = b.detach()](const Tensor& dy, autograd::GradientSink& sink) {
        if (sink.needs(0)) sink.add(0, product(dy, b));
        if (sink.needs(1)) sink.add(1, product(dy, a));
      });
}

/// a + b; hands the same gradient tensor to both inputs.
inline Tensor plus(const Tensor& a, const Tensor& b) {
  return autograd::record("plus", {a, b}, map2(a, b, [](float x, float y) { return x + y; }),
                          [](const Tensor& dy, autograd::GradientSink& sink) {
                            sink.add(0, dy);
                            sink.add(1, dy);
                          });
}

/// a * b, with the gradient of b summed in place.
inline Tensor times_into(const Tensor& a, const Tensor& b) {
  return autograd::record(
      "times_into", {a, b}, product(a, b),
      [a = a.detach(), b = b.detach()](const Tensor& dy, autograd::GradientSink& sink) {
        if (sink.needs(0)) sink.add(0, product(dy, b));
        if (!sink.needs(1)) return;
        Tensor db = sink.into(1, b.shape(), b.device());
        auto* to = db.mutable_data<float>();
        for (int64_t i = 0; i < b.numel(); ++i) to[i] += dy.data<float>()[i] * a.data<float>()[i];
      });
}

}  // namespace corral::test
