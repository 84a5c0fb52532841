#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "tensor/dtype.h"

namespace corral::io {

/// The longest key, by the format's definition; Corral holds names of tensors to it too.
inline constexpr size_t kMaxGgufKeyBytes = 65535;

/// Types of metadata values, with their numbers in the file.
enum class GgufType : uint32_t {
  kU8 = 0,
  kI8 = 1,
  kU16 = 2,
  kI16 = 3,
  kU32 = 4,
  kI32 = 5,
  kF32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kU64 = 10,
  kI64 = 11,
  kF64 = 12,
};

/// "u32", "string", "array", ...
std::string_view gguf_type_name(GgufType type);

/// Bytes of a value of fixed size; 0 for strings and arrays.
int64_t gguf_type_bytes(GgufType type);

/// A tensor type of ggml.
struct GgmlType {
  uint32_t number;
  std::optional<DType> dtype;  // empty: known by size only
  std::string_view name;
  int64_t block_elements;
  int64_t block_bytes;
};

/// Null for a number that is not in use.
const GgmlType* find_ggml_type(uint32_t number);

/// Null for kU8, which ggml lacks.
const GgmlType* find_ggml_type(DType dtype);

/// What `general.file_type` says about the bulk of the weights: "Q4_K_M"; "type 99" when unknown.
std::string gguf_file_type_name(int64_t file_type);

/// The `general.file_type` of a file whose matrices all have this dtype, a floating-point or block
/// type (NotSupported for integers).
int64_t gguf_file_type(DType dtype);

}  // namespace corral::io
