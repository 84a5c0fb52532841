#pragma once

#include <cstddef>
#include <cstdint>

#include "tensor/tensor.h"

namespace corral::model {

/// safetensors' name of the type of FP8 codes.
inline constexpr const char* kF8Type = "F8_E4M3";

/// Int4 codes lie in words of 32 bits.
inline constexpr int64_t kCodesPerWord = 8;

/// The same bytes under another type and shape of equal size.
inline Tensor reinterpret(const Tensor& x, DType dtype, const Shape& shape) {
  const int64_t offset = x.data<std::byte>() - x.storage()->data();
  return Tensor(x.storage(), offset, shape, dtype);
}

}  // namespace corral::model
