#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "tensor/tensor.h"

namespace corral::kv {

/// A run of rows of the batch that belongs to one sequence, at consecutive positions.
struct Segment {
  int64_t begin = 0;           // first row in the batch
  int64_t length = 0;          // rows
  int64_t first_position = 0;  // position of the first row in its sequence (or document)
  int64_t sequence = -1;       // the KV cache's handle; unused without a cache
};

/// The one batch type: T tokens in a flat run, no padding. Training packs documents into it,
/// serving mixes pieces of prompts and single decode steps of many sequences. Every mask follows
/// from (segment, position): a row sees the rows of its own segment (and what the cache holds of
/// its sequence) at positions up to its own, in chunked layers only those of the same position /
/// attention_chunk_size.
struct Batch {
  std::vector<int32_t> tokens;     // [T]
  std::vector<int64_t> positions;  // [T]
  std::vector<Segment> segments;   // in row order, covering all rows
  /// Rows, ascending, whose token is only a placeholder: row vector_rows[i] takes vector i of
  /// `vectors` instead of its token's embedding (images).
  std::vector<int64_t> vector_rows;
  Tensor vectors;  // f32 [vector_rows.size(), D], or undefined without any

  int64_t size() const { return static_cast<int64_t>(tokens.size()); }
  /// Appends a segment with positions first_position, first_position + 1, ...
  void append(std::span<const int32_t> segment_tokens, int64_t first_position,
              int64_t sequence = -1);
  /// The batch of some of its rows, ascending, without vectors: their tokens, positions and
  /// sequences, a segment for each run of neighbours. Throws UsageError for rows that it has not.
  Batch of_rows(std::span<const int64_t> rows) const;
};

/// What a layer's queries can see: every earlier position (chunk_size 0), or those of the same
/// position / chunk_size; in an image tower every row of their segment, later ones too. Source:
/// Llama 4's iRoPE; chunks are fixed by absolute position, they are not a sliding window.
struct AttentionSpan {
  int64_t chunk_size = 0;
  bool causal = true;  // false: the whole segment, without chunks and without a cache

  /// First position that the query at `position` sees.
  int64_t first_visible(int64_t position) const {
    return chunk_size > 0 ? position / chunk_size * chunk_size : 0;
  }
};

}  // namespace corral::kv
