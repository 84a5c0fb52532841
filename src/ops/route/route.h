#pragma once

#include <cstdint>

#include "base/small_vector.h"
#include "tensor/tensor.h"

namespace corral::ops {

/// A number of each row of the routing.
using RowNumbers = SmallVector<int32_t, 8>;

/// Which experts see which tokens. The N = T * K rows that the experts work on are sorted by expert
/// and, for the same expert, by token; no token is dropped and there is no capacity.
struct Routing {
  int64_t tokens = 0;    // T
  int64_t experts = 0;   // E
  int64_t top_k = 0;     // K
  RowNumbers expert_TK;  // the experts of a token, best first
  SmallVector<int64_t, 18>
      offsets_E;         // E + 1 of them: expert e has the rows [offsets_E[e], offsets_E[e + 1])
  RowNumbers token_N;    // row -> its token
  RowNumbers row_of_TK;  // the rows of a token, in the order of expert_TK

  int64_t rows() const { return tokens * top_k; }
  /// Rows of expert e.
  int64_t load(int64_t e) const {
    return offsets_E[static_cast<size_t>(e) + 1] - offsets_E[static_cast<size_t>(e)];
  }
};

/// Sorts the rows for experts that were chosen before (replay, tests, a router of another kind).
/// Throws ShapeError if expert_TK has not tokens * top_k entries or top_k is not in [1, experts],
/// Error if an expert does not exist or a token has one twice; both name the token.
Routing make_routing(RowNumbers expert_TK, int64_t tokens, int64_t experts, int64_t top_k);

/// Chooses for each token the experts with the top_k largest logits; of equal ones the lowest index
/// wins. Sigmoid is monotone, so this is the order of the scores, without their rounding.
///
/// logits_TE  [T, E]  f32.
/// Throws as make_routing, and Error naming the first token with a NaN logit. Not differentiable:
/// the gradient goes through the scores of dispatch().
Routing route_top_k(const Tensor& logits_TE, int64_t top_k);

}  // namespace corral::ops
