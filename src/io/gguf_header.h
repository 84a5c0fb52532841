#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "io/gguf_types.h"
#include "io/weight_source.h"

namespace corral::io {

/// A metadata entry: views of the file's bytes, already known to be complete.
struct GgufEntry {
  std::string_view key;
  GgufType type = GgufType::kU8;
  GgufType element_type = GgufType::kU8;  // of an array
  int64_t count = 1;                      // elements of an array
  std::span<const std::byte> encoded;     // the value as it stands after its type
  std::span<const std::byte> content;     // the number, the characters, or the array's elements
};

/// Everything in a GGUF file but the tensors' data (docs/formats/gguf.md).
struct GgufHeader {
  int64_t version = 0;
  int64_t alignment_bytes = 0;
  std::vector<GgufEntry> metadata;  // in the order of the file
  std::vector<TensorInfo> tensors;
};

inline constexpr std::string_view kGgufMagic = "GGUF";
inline constexpr uint32_t kGgufVersion = 3;
inline constexpr int64_t kGgufDefaultAlignment = 32;
inline constexpr std::string_view kGgufAlignmentKey = "general.alignment";

/// True for what a file may be aligned to: powers of two up to a gibibyte.
bool is_gguf_alignment(uint64_t alignment_bytes);

/// Reads the header from the bytes of a whole file, version 2 or 3; `what` is the file's name for
/// messages. The result refers to `file`. Throws CorruptFile, NotSupported for big-endian files and
/// other versions. Two tensors of one name are left to WeightSource.
GgufHeader parse_gguf(std::span<const std::byte> file, const std::string& what);

}  // namespace corral::io
