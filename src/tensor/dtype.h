#pragma once

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
int64_t block_elements(DType dtype);
int64_t block_bytes(DType dtype);
/// True for the types whose elements share scales.
inline bool is_block(DType dtype) { return block_elements(dtype) != 1; }

/// Bytes of n elements; n must be whole blocks (ShapeError). Safe against overflow.
int64_t bytes_of(DType dtype, int64_t n);

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
