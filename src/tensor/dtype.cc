#include "tensor/dtype.h"

#include <array>
#include <bit>
#include <string>

#include "base/error.h"

namespace corral {
namespace {

constexpr std::array<std::string_view, kBlockSizes.size()> kNames = {
    "f32",  "f16",    "bf16",  "i32",  "i64",  "u8",   "q8_0", "q4_0", "q4_1",  "q5_0",
    "q5_1", "iq4_nl", "mxfp4", "q2_k", "q3_k", "q4_k", "q5_k", "q6_k", "iq4_xs"};
static_assert(static_cast<size_t>(DType::kIQ4_XS) + 1 == kNames.size());

constexpr auto kAll = [] {
  std::array<DType, kNames.size()> all{};
  for (size_t i = 0; i < all.size(); ++i) all.at(i) = static_cast<DType>(i);
  return all;
}();

}  // namespace

std::span<const DType> all_dtypes() { return kAll; }

void fail_bytes_of(DType dtype, int64_t n) {
  if (n < 0 || n % block_elements(dtype) != 0) {
    throw ShapeError(
        str(n, " elements of ", dtype, ": needs a multiple of ", block_elements(dtype)));
  }
  throw ShapeError(str(n, " elements of ", dtype, " are more than memory can hold"));
}

std::string_view dtype_name(DType dtype) { return kNames.at(static_cast<size_t>(dtype)); }

DType parse_dtype(std::string_view name) {
  for (const DType dtype : kAll) {
    if (dtype_name(dtype) == name) return dtype;
  }
  std::string known;
  for (const auto one : kNames) known += str(known.empty() ? "" : ", ", one);
  throw UsageError(str("type '", name, "' is unknown: use one of ", known));
}

std::ostream& operator<<(std::ostream& out, DType dtype) { return out << dtype_name(dtype); }

float bf16_to_f32(uint16_t bits) { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); }

uint16_t f32_to_bf16(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7FFFFFFFu) > 0x7F800000u) return static_cast<uint16_t>((bits >> 16) | 0x40u);
  return static_cast<uint16_t>((bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16);
}

float f16_to_f32(uint16_t bits) {
  const uint32_t sign = static_cast<uint32_t>(bits & 0x8000u) << 16;
  const uint32_t magnitude = bits & 0x7FFFu;
  if (magnitude >= 0x7C00u) return std::bit_cast<float>(sign | ((magnitude << 13) + 0x70000000u));
  const float scaled = std::bit_cast<float>(magnitude << 13) * 0x1p112f;
  return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(scaled));
}

uint16_t f32_to_f16(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  const auto sign = static_cast<uint16_t>((bits >> 16) & 0x8000u);
  const uint32_t magnitude = bits & 0x7FFFFFFFu;
  if (magnitude > 0x7F800000u) return static_cast<uint16_t>(sign | 0x7E00u);
  if (magnitude >= 0x477FF000u) return static_cast<uint16_t>(sign | 0x7C00u);  // rounds to infinity
  if (magnitude < 0x38800000u) {  // subnormal: adding 0.5 aligns the bits and rounds them
    const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
    return static_cast<uint16_t>(sign | (std::bit_cast<uint32_t>(shifted) - 0x3F000000u));
  }
  const uint32_t rounded = magnitude + 0xFFFu + ((magnitude >> 13) & 1u);
  return static_cast<uint16_t>(sign | ((rounded - 0x38000000u) >> 13));
}

}  // namespace corral
