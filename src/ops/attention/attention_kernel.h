#pragma once

// What the attention drivers hand to the kernels of each instruction set; plain data, so that
// *_isa.cc files may include it (simd/vec.h).
//
// Shape letters: n query rows, C head size (a multiple of kHeadStep).

#include <cstdint>

namespace corral::ops {

/// Keys that are scored together. Tiles are aligned to the start of the chunk.
inline constexpr int64_t kKeyTile = 64;
/// Tiles after which a row's running softmax starts afresh; the parts are merged in order. It lets
/// one long row be shared between threads without changing a bit.
inline constexpr int64_t kRangeTiles = 32;
/// Head sizes are padded to a multiple of this: the widest vector.
inline constexpr int64_t kHeadStep = 16;
/// Floats kept for the running sum of one row: one a vector lane.
inline constexpr int64_t kSumLanes = 16;

/// How keys or values lie in a tile (kv/kv_types.h).
enum class KvFormat : uint8_t { kF32, kBF16, kQ8_0, kQ4_0 };
inline constexpr int kKvFormats = 4;

/// So many bytes, to be asked for while something else is computed.
struct BytesAhead {
  const void* at = nullptr;
  int64_t bytes = 0;
};

/// 64 keys and values of one head.
struct KeyTile {
  const void* k = nullptr;  // vectors run along the keys: [C, kKeyTile] if f32
  const void* v = nullptr;  // vectors run along the channels; the first row is that of key `begin`
  KvFormat k_format = KvFormat::kF32;
  KvFormat v_format = KvFormat::kF32;
  int64_t v_stride = 0;  // floats from one row of v to the next, if f32
  int64_t first = 0;     // position of key 0 of the tile
  int64_t begin = 0;     // keys before this one do not exist; 0 unless v is f32
  // What those of the tile behind this one are read from, if it lies in memory.
  BytesAhead next_k = {};
  BytesAhead next_v = {};
};

/// Query rows with the state of their running softmax (Milakov and Gimelshein 2018).
struct QueryRows {
  int64_t count = 0;
  const float* const* q = nullptr;          // [n] rows of C floats
  const uint16_t* const* q_bf16 = nullptr;  // [n] the same rounded, if the kernel asks for it
  const int64_t* last = nullptr;            // [n] position of the last key that the row sees
  float* out = nullptr;                     // [n, C] sum of exp(score - max) v
  float* sum = nullptr;  // [n, kSumLanes] sum of exp(score - max), by vector lane
  float* max = nullptr;  // [n] largest score so far
};

/// Query rows of the backward pass.
struct GradRows {
  int64_t count = 0;
  const float* const* q = nullptr;     // [n] rows of C floats
  const float* const* dout = nullptr;  // [n] rows of C floats
  float* const* dq = nullptr;          // [n] rows of C floats, added to
  const int64_t* last = nullptr;       // [n] position of the last key that the row sees
  const float* lse = nullptr;          // [n] log of the sum of exp(score)
  const float* delta = nullptr;        // [n] dout . out
};

/// 64 keys of the backward pass.
struct GradTile {
  const float* k = nullptr;             // [C, kKeyTile]
  const float* v_transposed = nullptr;  // [C, kKeyTile]
  const float* k_rows = nullptr;        // rows of C floats; the first is that of key `begin`
  int64_t k_stride = 0;                 // floats from one row of k_rows to the next
  int64_t first = 0;
  int64_t begin = 0;
  float* dk = nullptr;  // [kKeyTile, C], added to
  float* dv = nullptr;  // [kKeyTile, C], added to
};

/// The forward kernels of one instruction set.
struct AttentionKernel {
  /// out[C, kKeyTile] from count rows of C floats, which become columns begin, begin + 1, ...; the
  /// other columns are zero.
  void (*transpose)(const float* rows, int64_t stride, int64_t begin, int64_t count, int64_t C,
                    float* out);
  /// True when tiles of bf16 are multiplied as they are: rounded queries with keys, and rounded
  /// weights with values. Then attend() reads q_bf16 beside keys in bf16.
  bool bf16_products = false;
  /// out[i] = in[i] rounded to bf16, n a multiple of kHeadStep.
  void (*round)(const float* in, int64_t n, uint16_t* out);
  /// Empty state: before the first tile.
  void (*clear)(const QueryRows& rows, int64_t C);
  /// Adds a tile's keys, as far as each row sees them, to the rows' state.
  void (*attend)(const QueryRows& rows, const KeyTile& tile, int64_t C, float scale);
  /// Adds the state `part` of the same rows over later keys to `rows`.
  void (*merge)(const QueryRows& rows, const QueryRows& part, int64_t C);
  /// y[i] = out / sum of row i; total[i] = its sum.
  void (*finish)(const QueryRows& rows, int64_t C, float* const* y, float* total);
};

/// Puts tokens into tiles of one format and widens such tiles (kv/kv_types.h says how they lie).
struct KvTileKernel {
  /// One key or value of C floats becomes token `token` of the tile.
  void (*store_key)(const float* k, int64_t C, int64_t token, void* tile);
  void (*store_value)(const float* v, int64_t C, int64_t token, void* tile);
  /// The whole tile as f32 [C, kKeyTile] or [kKeyTile, C]. The values are those that attend() reads
  /// from the tile itself.
  void (*load_keys)(const void* tile, int64_t C, float* k);
  void (*load_values)(const void* tile, int64_t C, float* v);
};

/// The backward kernels of one instruction set.
struct AttentionGradKernel {
  /// dots[i] = a[i] . b[i] for n rows of C floats.
  void (*dot_rows)(const float* a, const float* b, int64_t n, int64_t C, float* dots);
  /// Adds what the tile's keys contribute to the rows' dq, and what the rows contribute to dk, dv.
  void (*backward)(const GradRows& rows, const GradTile& tile, int64_t C, float scale);
};

namespace portable {
extern const AttentionKernel kAttention;
extern const KvTileKernel kKvTiles[kKvFormats];
extern const AttentionGradKernel kAttentionGrad;
}  // namespace portable
namespace avx2 {
extern const AttentionKernel kAttention;
extern const KvTileKernel kKvTiles[kKvFormats];
extern const AttentionGradKernel kAttentionGrad;
}  // namespace avx2
namespace avx512 {
extern const AttentionKernel kAttention;
extern const KvTileKernel kKvTiles[kKvFormats];
extern const AttentionGradKernel kAttentionGrad;
}  // namespace avx512
namespace avx512_bf16 {
extern const AttentionKernel kAttention;
}

}  // namespace corral::ops
