#pragma once

// Shape letters: T tokens of the packed batch, H query heads, K kv heads, C head size.

#include <cstdint>
#include <span>

#include "base/function_ref.h"
#include "base/small_vector.h"
#include "kv/batch.h"
#include "tensor/tensor.h"

namespace corral::ops {

/// Consecutive rows of one segment in one chunk: a plain attention problem, causal or full.
/// Positions are counted from the start of the chunk.
struct AttentionBlock {
  int64_t row = 0;          // batch row of the first query
  int64_t count = 0;        // queries
  int64_t first_query = 0;  // position of the first query
  int64_t first_key = 0;    // position of the first key that exists
  int64_t chunk_start = 0;  // of the chunk, in the sequence
  int64_t sequence = -1;
  bool causal = true;

  int64_t last_query() const { return first_query + count - 1; }
  /// Position of the last key that the query at `position` sees.
  int64_t last_key(int64_t position) const { return causal ? position : last_query(); }
  /// Position of the first query that sees the key at `position`.
  int64_t first_seeing(int64_t position) const {
    return causal && position > first_query ? position : first_query;
  }
};

struct AttentionKernel;
/// That of the device's instruction set.
const AttentionKernel& attention_kernel(const Device& device);

using AttentionBlocks = SmallVector<AttentionBlock, 2>;

/// Cuts the batch's segments at chunk borders. Without a cache a block's keys are its own rows;
/// with one they are all positions of the chunk. Throws ShapeError when the segments do not cover
/// the rows of q exactly, in order, UsageError for a span that is not causal but has chunks or a
/// cache.
AttentionBlocks attention_blocks(const char* op, const kv::Batch& batch, kv::AttentionSpan span,
                                 int64_t rows, bool cached);

/// Throws ShapeError or NotSupported unless q is f32 [T, H, C], k and v f32 [T, K, C] (or, if not
/// `same_rows`, of another number of rows) with H a multiple of K, and scale is positive.
void check_attention(const char* op, const Tensor& q_THC, const Tensor& k_TKC, const Tensor& v_TKC,
                     float scale, bool same_rows = true);

/// C rounded up to whole vectors.
int64_t padded_head_size(int64_t C);
/// x, off the tape, with its last axis padded with zeros to padded_head_size (x itself if it is
/// whole), and back.
Tensor pad_heads(Tensor x);
Tensor unpad_heads(Tensor x, int64_t C);

/// Runs work(member, unit) for every unit, each taken by the next free thread; so put long units
/// first. `operations` of all units together tell whether waking the threads is worth it. No unit's
/// result may depend on another's.
void run_units(ThreadPool& threads, int64_t units, int64_t operations,
               FunctionRef<void(int, int64_t)> work);

}  // namespace corral::ops
