#pragma once

#include <span>

#include "base/function_ref.h"
#include "ops/attention/attention_blocks.h"
#include "ops/attention/attention_kernel.h"

namespace corral::ops {

/// Queries in, outputs out; C is padded_head_size.
struct AttentionRows {
  const float* q_THC = nullptr;
  float* out_THC = nullptr;
  float* lse_TH = nullptr;  // logarithm of the sum of exp(score), or null
  int64_t heads = 0;
  int64_t kv_heads = 0;
  int64_t head_size = 0;
  float scale = 1;
  KvFormat k_format = KvFormat::kF32;  // of the tiles that the source finds

  int64_t group() const { return heads / kv_heads; }
};

/// Finds the tile of a block's keys that starts at position `first` (a multiple of kKeyTile, from
/// the start of the chunk) for one kv head, to be read by `rows` rows. It may build it in `scratch`
/// (2 C kKeyTile floats).
using TileSource = FunctionRef<KeyTile(const AttentionBlock& block, int64_t kv_head, int64_t first,
                                       int64_t rows, float* scratch)>;

/// The forward pass of all blocks. A row's bits depend on its query, its keys and the instruction
/// set alone: not on the other rows, the cut into blocks, or the threads.
void attend_blocks(Device& device, const AttentionRows& rows,
                   std::span<const AttentionBlock> blocks, TileSource source);

}  // namespace corral::ops
