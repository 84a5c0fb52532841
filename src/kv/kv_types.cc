#include "kv/kv_types.h"

#include <array>

#include "base/error.h"

namespace corral::kv {
namespace {

constexpr std::array kTypes = {DType::kF32, DType::kBF16, DType::kQ8_0, DType::kQ4_0};
// Channels are padded to whole vectors.
constexpr int64_t kChannelStep = 16;

int64_t padded(int64_t head_dim) {
  return (head_dim + kChannelStep - 1) / kChannelStep * kChannelStep;
}
int64_t blocks(int64_t head_dim) { return (head_dim + kScaleChannels - 1) / kScaleChannels; }
int64_t scale_bytes(int64_t head_dim) { return kTileTokens * blocks(head_dim) * 2; }

}  // namespace

bool is_kv_type(DType type) {
  for (const DType known : kTypes) {
    if (type == known) return true;
  }
  return false;
}

DType parse_kv_type(std::string_view name) {
  for (const DType type : kTypes) {
    if (name == dtype_name(type)) return type;
  }
  throw UsageError(str("kv type '", name, "' is unknown: use f32, bf16, q8_0 or q4_0"));
}

KvTypes parse_kv_types(std::string_view text) {
  const size_t comma = text.find(',');
  const DType k = parse_kv_type(text.substr(0, comma));
  return {k, comma == text.npos ? k : parse_kv_type(text.substr(comma + 1))};
}

int64_t key_tile_bytes(DType type, int64_t head_dim) {
  const int64_t values = kTileTokens * padded(head_dim);
  if (type == DType::kQ8_0) return values + scale_bytes(head_dim);
  if (type == DType::kQ4_0) return values / 2 + scale_bytes(head_dim);
  return bytes_of(type, values);
}

int64_t value_tile_bytes(DType type, int64_t head_dim) {
  // Both halves of a block's bytes are there even where only the first has channels.
  if (type == DType::kQ4_0) {
    return kTileTokens * blocks(head_dim) * kScaleChannels / 2 + scale_bytes(head_dim);
  }
  return key_tile_bytes(type, head_dim);
}

}  // namespace corral::kv
