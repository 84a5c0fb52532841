#include "tensor/dtype.h"

#include <array>
#include <bit>
#include <limits>
#include <string>

#include "base/error.h"

namespace corral {
namespace {

struct Info {
  DType dtype;
  std::string_view name;
  int64_t elements;
  int64_t bytes;
};

constexpr std::array<Info, 19> kInfo = {{
    {DType::kF32, "f32", 1, 4},           {DType::kF16, "f16", 1, 2},
    {DType::kBF16, "bf16", 1, 2},         {DType::kI32, "i32", 1, 4},
    {DType::kI64, "i64", 1, 8},           {DType::kU8, "u8", 1, 1},
    {DType::kQ8_0, "q8_0", 32, 34},       {DType::kQ4_0, "q4_0", 32, 18},
    {DType::kQ4_1, "q4_1", 32, 20},       {DType::kQ5_0, "q5_0", 32, 22},
    {DType::kQ5_1, "q5_1", 32, 24},       {DType::kIQ4_NL, "iq4_nl", 32, 18},
    {DType::kMXFP4, "mxfp4", 32, 17},     {DType::kQ2_K, "q2_k", 256, 84},
    {DType::kQ3_K, "q3_k", 256, 110},     {DType::kQ4_K, "q4_k", 256, 144},
    {DType::kQ5_K, "q5_k", 256, 176},     {DType::kQ6_K, "q6_k", 256, 210},
    {DType::kIQ4_XS, "iq4_xs", 256, 136},
}};

constexpr auto kAll = [] {
  std::array<DType, kInfo.size()> all{};
  for (size_t i = 0; i < kInfo.size(); ++i) all.at(i) = kInfo.at(i).dtype;
  return all;
}();

const Info& info(DType dtype) { return kInfo.at(static_cast<size_t>(dtype)); }

}  // namespace

std::span<const DType> all_dtypes() { return kAll; }

int64_t block_elements(DType dtype) { return info(dtype).elements; }
int64_t block_bytes(DType dtype) { return info(dtype).bytes; }

int64_t bytes_of(DType dtype, int64_t n) {
  const Info& i = info(dtype);
  if (n < 0 || n % i.elements != 0) {
    throw ShapeError(str(n, " elements of ", i.name, ": needs a multiple of ", i.elements));
  }
  const int64_t blocks = n / i.elements;
  if (blocks > std::numeric_limits<int64_t>::max() / i.bytes) {
    throw ShapeError(str(n, " elements of ", i.name, " are more than memory can hold"));
  }
  return blocks * i.bytes;
}

std::string_view dtype_name(DType dtype) { return info(dtype).name; }

DType parse_dtype(std::string_view name) {
  for (const Info& i : kInfo) {
    if (i.name == name) return i.dtype;
  }
  std::string known;
  for (const Info& i : kInfo) known += str(known.empty() ? "" : ", ", i.name);
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
