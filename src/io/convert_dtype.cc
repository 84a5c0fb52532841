#include "io/convert_dtype.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "base/error.h"
#include "quant/block_format.h"

namespace corral::io {
namespace {

// Elements converted at a time, through f32 values that stay in the first-level cache; whole blocks
// of every type.
constexpr int64_t kPiece = 2048;

template <class T>
T load(const std::byte* at, int64_t i) {
  T value;
  std::memcpy(&value, at + i * static_cast<int64_t>(sizeof(T)), sizeof(T));
  return value;
}

void store(std::byte* at, int64_t i, uint16_t value) {
  std::memcpy(at + i * static_cast<int64_t>(sizeof(value)), &value, sizeof(value));
}

// The two bf16 loops repeat tensor/dtype.h without its function calls and without branches, so that
// the compiler makes vectors of them.
void widen_bf16(const std::byte* in, float* out, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    out[i] = std::bit_cast<float>(static_cast<uint32_t>(load<uint16_t>(in, i)) << 16);
  }
}

void narrow_bf16(const float* in, std::byte* out, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    const auto bits = std::bit_cast<uint32_t>(in[i]);
    const uint32_t rounded = (bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16;
    const uint32_t quiet_nan = (bits >> 16) | 0x40u;
    const bool is_nan = (bits & 0x7FFFFFFFu) > 0x7F800000u;
    store(out, i, static_cast<uint16_t>(is_nan ? quiet_nan : rounded));
  }
}

void widen(DType from, const std::byte* in, float* out, int64_t n) {
  switch (from) {
    case DType::kF32:
      std::memcpy(out, in, static_cast<size_t>(n) * sizeof(float));
      return;
    case DType::kF16:
      for (int64_t i = 0; i < n; ++i) out[i] = f16_to_f32(load<uint16_t>(in, i));
      return;
    case DType::kBF16:
      widen_bf16(in, out, n);
      return;
    default:
      quant::block_format(from).dequantize(in, out, n);
  }
}

void narrow(DType to, const float* in, const float* importance, std::byte* out, int64_t n) {
  switch (to) {
    case DType::kF32:
      std::memcpy(out, in, static_cast<size_t>(n) * sizeof(float));
      return;
    case DType::kF16:
      for (int64_t i = 0; i < n; ++i) store(out, i, f32_to_f16(in[i]));
      return;
    case DType::kBF16:
      narrow_bf16(in, out, n);
      return;
    default:
      quant::block_format(to).quantize(in, importance, out, n);
  }
}

}  // namespace

bool is_convertible(DType dtype) {
  return dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16 || is_block(dtype);
}

void convert_elements(DType from, const std::byte* in, DType to, std::byte* out, int64_t n,
                      ThreadPool& threads, std::span<const float> importance) {
  if (!is_convertible(from) || !is_convertible(to)) {
    throw NotSupported(
        str("conversion of ", from, " to ", to, ": needs floating-point or block types"));
  }
  bytes_of(from, n);  // throws ShapeError unless n is whole blocks
  bytes_of(to, n);
  const auto columns = static_cast<int64_t>(importance.size());
  if (columns > 0 && n % columns != 0) {
    throw ShapeError(str(columns, " importances for ", n, " elements: needs whole rows"));
  }
  const int64_t pieces = (n + kPiece - 1) / kPiece;
  threads.parallel_for(pieces, 16, [&](int64_t begin, int64_t end) {
    std::array<float, kPiece> values;
    std::array<float, kPiece> weights;
    for (int64_t piece = begin; piece < end; ++piece) {
      const int64_t first = piece * kPiece;
      const int64_t count = std::min(kPiece, n - first);
      widen(from, in + bytes_of(from, first), values.data(), count);
      for (int64_t i = 0; columns > 0 && i < count; ++i) {
        weights.at(static_cast<size_t>(i)) = importance[static_cast<size_t>((first + i) % columns)];
      }
      narrow(to, values.data(), columns > 0 ? weights.data() : nullptr, out + bytes_of(to, first),
             count);
    }
  });
}

Tensor convert(const Tensor& x, DType to) {
  if (x.dtype() == to) return x.detach();
  const int64_t row = x.rank() == 0 ? 1 : x.dim(-1);
  if (row % block_elements(to) != 0) {
    throw ShapeError(str("conversion of ", x.shape(), " to ", to, ": rows must be multiples of ",
                         block_elements(to)));
  }
  Tensor y(x.shape(), to, x.device());
  convert_elements(x.dtype(), x.data<std::byte>(), to, y.mutable_data<std::byte>(), x.numel(),
                   x.device()->threads());
  return y;
}

}  // namespace corral::io
