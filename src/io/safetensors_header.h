#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "io/weight_source.h"

namespace corral::io {

/// The header of a safetensors file (docs/formats/safetensors.md).
struct SafetensorsHeader {
  std::map<std::string, std::string> metadata;  // __metadata__
  std::vector<TensorInfo> tensors;              // in the order of the header
};

/// Longer headers are refused, as the reference implementation does.
inline constexpr int64_t kMaxSafetensorsHeaderBytes = 100'000'000;

/// Reads the header from the bytes of a whole file; `what` is the file's name for messages. Touches
/// nothing behind the header. Throws CorruptFile (NotSupported for more axes than Shape holds);
/// memory is at most a few times the header's length. Two tensors of one name are left to
/// WeightSource.
SafetensorsHeader parse_safetensors(std::span<const std::byte> file, const std::string& what);

/// Header length and header as they stand in a file, for tensors whose data lies one after another
/// in the given order (offset_bytes is not used). Padded with blanks to a multiple of eight bytes.
std::string encode_safetensors_header(const SafetensorsHeader& header);

/// "BF16" for kBF16; empty for block types, which the format cannot hold.
std::string_view safetensors_type_name(DType dtype);

}  // namespace corral::io
