#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "base/random.h"
#include "simd/isa.h"
#include "tensor/tensor.h"

namespace corral::test {

/// A CPU device of its own for a test.
inline DevicePtr test_device(simd::Isa isa = simd::detect_isa(), int threads = 2) {
  return Device::cpu({.threads = threads, .isa = isa});
}

using simd::machine_isas;

/// f32 normal values, a pure function of shape and seed.
inline Tensor randn(const Shape& shape, uint64_t seed, const DevicePtr& device = test_device()) {
  Tensor x(shape, DType::kF32, device);
  auto* at = x.mutable_data<float>();
  const Philox random(seed);
  for (int64_t i = 0; i < x.numel(); ++i) {
    at[i] = static_cast<float>(random.normal(static_cast<uint64_t>(i)));
  }
  return x;
}

/// x rounded to f16 or bf16 (or x itself for f32).
inline Tensor to_dtype(const Tensor& x, DType dtype) {
  if (dtype == DType::kF32) return x;
  Tensor y(x.shape(), dtype, x.device());
  const auto* from = x.data<float>();
  auto* to = y.mutable_data<uint16_t>();
  for (int64_t i = 0; i < x.numel(); ++i) {
    to[i] = dtype == DType::kF16 ? f32_to_f16(from[i]) : f32_to_bf16(from[i]);
  }
  return y;
}

/// A copy of x on another device, off the tape.
inline Tensor copy_to(const Tensor& x, const DevicePtr& device) {
  Tensor y(x.shape(), x.dtype(), device);
  std::memcpy(y.mutable_data<std::byte>(), x.data<std::byte>(),
              static_cast<size_t>(x.size_bytes()));
  return y;
}

/// The values in double. Empty for block types: a reference that needs them captures them.
inline std::vector<double> to_double(const Tensor& x) {
  std::vector<double> values;
  if (x.dtype() == DType::kI32) {
    for (const int32_t v : x.values<int32_t>()) values.push_back(v);
  } else if (x.dtype() == DType::kF32 || x.dtype() == DType::kF16 || x.dtype() == DType::kBF16) {
    const Tensor y = to_f32(x);
    for (const float v : y.values<float>()) values.push_back(static_cast<double>(v));
  }
  return values;
}

/// True when both have the same shape, dtype and bytes.
inline bool same_bits(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && a.dtype() == b.dtype() &&
         std::memcmp(a.data<std::byte>(), b.data<std::byte>(),
                     static_cast<size_t>(a.size_bytes())) == 0;
}

inline double relative_error(const std::vector<double>& got, const std::vector<double>& wanted) {
  if (got.size() != wanted.size()) return INFINITY;
  double error = 0;
  double norm = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    error += (got[i] - wanted[i]) * (got[i] - wanted[i]);
    norm += wanted[i] * wanted[i];
  }
  return std::sqrt(error) / std::max(std::sqrt(norm), 1e-30);
}

/// |got - wanted| / |wanted|, in the Euclidean norm.
inline double relative_error(const Tensor& got, const Tensor& wanted) {
  return relative_error(to_double(got), to_double(wanted));
}

/// The largest difference of two f32 tensors; infinite when one is NaN or the sizes differ.
inline double max_difference(const Tensor& a, const Tensor& b) {
  if (a.numel() != b.numel()) return INFINITY;
  double worst = 0;
  for (int64_t i = 0; i < a.numel(); ++i) {
    const double d = std::abs(static_cast<double>(a.data<float>()[i]) - b.data<float>()[i]);
    worst = std::isnan(d) ? INFINITY : std::max(worst, d);
  }
  return worst;
}

}  // namespace corral::test
