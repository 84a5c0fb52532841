#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <ostream>
#include <span>
#include <string_view>

namespace corral {

/// Element types. The block types store groups of elements with shared scales; only weights have
/// them, and only linear, grouped_linear and embedding read them (quant/block_format.h).
enum class DType : uint8_t {
  kF32,
  kF16,
  kBF16,
  kI32,
  kI64,
  kU8,
  kQ8_0,  // 32 signed bytes and one f16 scale: 34 bytes
  // Blocks of 32 with one scale.
  kQ4_0,
  kQ4_1,
  kQ5_0,
  kQ5_1,
  kIQ4_NL,
  kMXFP4,
  // Blocks of 256 with scales of scales.
  kQ2_K,
  kQ3_K,
  kQ4_K,
  kQ5_K,
  kQ6_K,
  kIQ4_XS,
};

/// Every type, in the order of the enumeration.
std::span<const DType> all_dtypes();

/// Elements a block holds (1 for plain types) and the bytes it takes.
struct BlockSize {
  int64_t elements;
  int64_t bytes;
};
inline constexpr std::array<BlockSize, 19> kBlockSizes = {{
    {1, 4},      // f32
    {1, 2},      // f16
    {1, 2},      // bf16
    {1, 4},      // i32
    {1, 8},      // i64
    {1, 1},      // u8
    {32, 34},    // q8_0
    {32, 18},    // q4_0
    {32, 20},    // q4_1
    {32, 22},    // q5_0
    {32, 24},    // q5_1
    {32, 18},    // iq4_nl
    {32, 17},    // mxfp4
    {256, 84},   // q2_k
    {256, 110},  // q3_k
    {256, 144},  // q4_k
    {256, 176},  // q5_k
    {256, 210},  // q6_k
    {256, 136},  // iq4_xs
}};
inline int64_t block_elements(DType dtype) {
  return kBlockSizes[static_cast<size_t>(dtype)].elements;
}
inline int64_t block_bytes(DType dtype) { return kBlockSizes[static_cast<size_t>(dtype)].bytes; }
/// True for the types whose elements share scales.
inline bool is_block(DType dtype) { return block_elements(dtype) != 1; }

[[noreturn]] void fail_bytes_of(DType dtype, int64_t n);
/// Bytes of n elements; n must be whole blocks (ShapeError). Safe against overflow.
inline int64_t bytes_of(DType dtype, int64_t n) {
  const auto [elements, bytes] = kBlockSizes[static_cast<size_t>(dtype)];
  int64_t blocks = n;
  bool fits = n >= 0;
  if (elements != 1) {
    blocks = n / elements;
    fits = fits && n % elements == 0;
  }
  int64_t total = 0;
  if (!fits || __builtin_mul_overflow(blocks, bytes, &total)) fail_bytes_of(dtype, n);
  return total;
}

/// "f32", "bf16", "q8_0", "q4_k", ... as GGUF spells them, in lower case; parse_dtype throws
/// UsageError for a name that is none.
std::string_view dtype_name(DType dtype);
DType parse_dtype(std::string_view name);

std::ostream& operator<<(std::ostream& out, DType dtype);

/// Conversions of single values, round to nearest even.
float bf16_to_f32(uint16_t bits);
uint16_t f32_to_bf16(float value);
float f16_to_f32(uint16_t bits);
uint16_t f32_to_f16(float value);

}  // namespace corral
