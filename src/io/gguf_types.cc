#include "io/gguf_types.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <utility>

#include "base/error.h"

namespace corral::io {
namespace {

constexpr std::array<std::pair<std::string_view, int64_t>, 13> kValueTypes = {{
    {"u8", 1},
    {"i8", 1},
    {"u16", 2},
    {"i16", 2},
    {"u32", 4},
    {"i32", 4},
    {"f32", 4},
    {"bool", 1},
    {"string", 0},
    {"array", 0},
    {"u64", 8},
    {"i64", 8},
    {"f64", 8},
}};

constexpr GgmlType kTensorTypes[] = {
    {0, DType::kF32, "F32", 1, 4},          {1, DType::kF16, "F16", 1, 2},
    {2, DType::kQ4_0, "Q4_0", 32, 18},      {3, DType::kQ4_1, "Q4_1", 32, 20},
    {6, DType::kQ5_0, "Q5_0", 32, 22},      {7, DType::kQ5_1, "Q5_1", 32, 24},
    {8, DType::kQ8_0, "Q8_0", 32, 34},      {9, std::nullopt, "Q8_1", 32, 36},
    {10, DType::kQ2_K, "Q2_K", 256, 84},    {11, DType::kQ3_K, "Q3_K", 256, 110},
    {12, DType::kQ4_K, "Q4_K", 256, 144},   {13, DType::kQ5_K, "Q5_K", 256, 176},
    {14, DType::kQ6_K, "Q6_K", 256, 210},   {15, std::nullopt, "Q8_K", 256, 292},
    {16, std::nullopt, "IQ2_XXS", 256, 66}, {17, std::nullopt, "IQ2_XS", 256, 74},
    {18, std::nullopt, "IQ3_XXS", 256, 98}, {19, std::nullopt, "IQ1_S", 256, 50},
    {20, DType::kIQ4_NL, "IQ4_NL", 32, 18}, {21, std::nullopt, "IQ3_S", 256, 110},
    {22, std::nullopt, "IQ2_S", 256, 82},   {23, DType::kIQ4_XS, "IQ4_XS", 256, 136},
    {24, std::nullopt, "I8", 1, 1},         {25, std::nullopt, "I16", 1, 2},
    {26, DType::kI32, "I32", 1, 4},         {27, DType::kI64, "I64", 1, 8},
    {28, std::nullopt, "F64", 1, 8},        {29, std::nullopt, "IQ1_M", 256, 56},
    {30, DType::kBF16, "BF16", 1, 2},       {34, std::nullopt, "TQ1_0", 256, 54},
    {35, std::nullopt, "TQ2_0", 256, 66},   {39, DType::kMXFP4, "MXFP4", 32, 17},
    {40, std::nullopt, "NVFP4", 64, 36},
};

constexpr std::pair<int64_t, std::string_view> kFileTypes[] = {
    {0, "F32"},      {1, "F16"},      {2, "Q4_0"},    {3, "Q4_1"},    {7, "Q8_0"},
    {8, "Q5_0"},     {9, "Q5_1"},     {10, "Q2_K"},   {11, "Q3_K_S"}, {12, "Q3_K_M"},
    {13, "Q3_K_L"},  {14, "Q4_K_S"},  {15, "Q4_K_M"}, {16, "Q5_K_S"}, {17, "Q5_K_M"},
    {18, "Q6_K"},    {19, "IQ2_XXS"}, {20, "IQ2_XS"}, {21, "Q2_K_S"}, {22, "IQ3_XS"},
    {23, "IQ3_XXS"}, {24, "IQ1_S"},   {25, "IQ4_NL"}, {26, "IQ3_S"},  {27, "IQ3_M"},
    {28, "IQ2_S"},   {29, "IQ2_M"},   {30, "IQ4_XS"}, {31, "IQ1_M"},  {32, "BF16"},
    {36, "TQ1_0"},   {37, "TQ2_0"},   {38, "MXFP4"},
};

}  // namespace

std::string_view gguf_type_name(GgufType type) {
  return kValueTypes.at(static_cast<size_t>(type)).first;
}

int64_t gguf_type_bytes(GgufType type) { return kValueTypes.at(static_cast<size_t>(type)).second; }

const GgmlType* find_ggml_type(uint32_t number) {
  const auto* at = std::find_if(std::begin(kTensorTypes), std::end(kTensorTypes),
                                [&](const GgmlType& type) { return type.number == number; });
  return at == std::end(kTensorTypes) ? nullptr : at;
}

const GgmlType* find_ggml_type(DType dtype) {
  const auto* at = std::find_if(std::begin(kTensorTypes), std::end(kTensorTypes),
                                [&](const GgmlType& type) { return type.dtype == dtype; });
  return at == std::end(kTensorTypes) ? nullptr : at;
}

std::string gguf_file_type_name(int64_t file_type) {
  for (const auto& [number, name] : kFileTypes) {
    if (number == file_type) return std::string(name);
  }
  return str("type ", file_type);
}

int64_t gguf_file_type(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return 0;
    case DType::kF16:
      return 1;
    case DType::kQ8_0:
      return 7;
    case DType::kBF16:
      return 32;
    case DType::kQ4_0:
      return 2;
    case DType::kQ4_1:
      return 3;
    case DType::kQ5_0:
      return 8;
    case DType::kQ5_1:
      return 9;
    case DType::kQ2_K:
      return 10;
    case DType::kQ3_K:
      return 11;
    case DType::kQ4_K:
      return 14;
    case DType::kQ5_K:
      return 16;
    case DType::kQ6_K:
      return 18;
    case DType::kIQ4_NL:
      return 25;
    case DType::kIQ4_XS:
      return 30;
    case DType::kMXFP4:
      return 38;
    case DType::kI32:
    case DType::kI64:
    case DType::kU8:
      break;
  }
  throw NotSupported(str("no kind of GGUF file has ", dtype, " matrices"));
}

}  // namespace corral::io
