#pragma once

#include <cstdint>
#include <string_view>

#include "tensor/dtype.h"

namespace corral::kv {

/// Tokens of a tile, the unit in which attention reads pages. Tiles are aligned to the start of the
/// chunk (of the sequence in global layers).
inline constexpr int64_t kTileTokens = 64;
/// Channels of a token that share a scale in the quantized types.
inline constexpr int64_t kScaleChannels = 32;

/// What a cache stores. Whatever the types, products are summed in f32, and what a token stored
/// does not depend on the tokens around it: so neither do the bits of what attention makes of it.
///
/// A tile holds one kv head's keys or values of kTileTokens tokens j, each of C channels (head_dim
/// padded to whole vectors); B = ceil(C / 32) blocks of channels with a scale each.
///
///     type   keys                           values
///     f32    [C, j]                         [j, C]
///     bf16   [C / 2, j, 2]                  [j / 2, C, 2]             pairs, as vdpbf16ps takes
///     them q8_0   i8 [C, j], f16 [B, j]          i8 [j, C], f16 [j, B]     value = code * scale
///     q4_0   u8 [C / 2, j], f16 [B, j]      u8 [j, B, 16], f16 [j, B] value = (code - 8) * scale
///
/// q4_0 has two codes a byte, the first in the low half: keys those of channels 2i and 2i + 1,
/// values those of channels i and i + 16 of a block. As in GGUF's types of these names a scale is
/// the greatest magnitude of its block over 127, or the value of greatest magnitude over -8.
struct KvTypes {
  DType k = DType::kF32;
  DType v = DType::kF32;

  bool operator==(const KvTypes&) const = default;
};

/// f32, bf16, q8_0, q4_0.
bool is_kv_type(DType type);
/// Throws UsageError listing what there is.
DType parse_kv_type(std::string_view name);
/// "bf16", or "q8_0,q4_0": the type of both, or of keys and of values. Throws as parse_kv_type().
KvTypes parse_kv_types(std::string_view text);

/// Bytes of a tile of keys, and of one of values, for heads of this size (at most 2^12).
int64_t key_tile_bytes(DType type, int64_t head_dim);
int64_t value_tile_bytes(DType type, int64_t head_dim);

}  // namespace corral::kv
