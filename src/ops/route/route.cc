#include "ops/route/route.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/error.h"

namespace corral::ops {
namespace {

constexpr int64_t kGrain = 1 << 12;  // logits
constexpr int32_t kNone = -1;        // the logits of this token have no order

void check_sizes(size_t entries, int64_t tokens, int64_t experts, int64_t top_k) {
  if (top_k < 1 || top_k > experts) {
    throw ShapeError(
        str("route: ", top_k, " experts a token of ", experts, ", needs 1 to ", experts));
  }
  if (tokens < 0 || tokens > std::numeric_limits<int32_t>::max() / top_k) {
    throw ShapeError(str("route: ", tokens, " tokens with ", top_k, " experts are too many rows"));
  }
  if (static_cast<int64_t>(entries) != tokens * top_k) {
    throw ShapeError(str("route: ", entries, " choices for ", tokens, " tokens with ", top_k));
  }
}

void check_choice(const int32_t* chosen, int64_t token, int64_t experts, int64_t top_k) {
  for (int64_t k = 0; k < top_k; ++k) {
    if (chosen[k] < 0 || chosen[k] >= experts) {
      throw Error(str("route: token ", token, " goes to expert ", chosen[k], " of ", experts));
    }
    if (std::find(chosen, chosen + k, chosen[k]) != chosen + k) {
      throw Error(str("route: token ", token, " goes to expert ", chosen[k], " twice"));
    }
  }
}

/// The top_k best of E logits, best first; all kNone when one is NaN. A kernel: not inlined, so
/// that a profile tells it from what surrounds it.
[[gnu::noinline]] void choose_experts(const float* logits, int64_t E, int64_t top_k,
                                      int32_t* chosen) {
  int64_t found = 0;
  for (int64_t e = 0; e < E; ++e) {
    if (logits[e] != logits[e]) {
      std::fill_n(chosen, top_k, kNone);
      return;
    }
    // Insertion into the few best so far; an equal logit of a lower index stays in front.
    int64_t at = found;
    while (at > 0 && logits[e] > logits[chosen[at - 1]]) --at;
    if (at == top_k) continue;
    found = std::min(found + 1, top_k);
    for (int64_t k = found - 1; k > at; --k) chosen[k] = chosen[k - 1];
    chosen[at] = static_cast<int32_t>(e);
  }
}

}  // namespace

Routing make_routing(RowNumbers expert_TK, int64_t tokens, int64_t experts, int64_t top_k) {
  check_sizes(expert_TK.size(), tokens, experts, top_k);
  Routing routing;
  routing.tokens = tokens;
  routing.experts = experts;
  routing.top_k = top_k;
  routing.expert_TK = std::move(expert_TK);
  routing.token_N.resize(routing.expert_TK.size());
  routing.row_of_TK.resize(routing.expert_TK.size());

  const int32_t* chosen = routing.expert_TK.data();
  for (int64_t t = 0; t < tokens; ++t) check_choice(chosen + t * top_k, t, experts, top_k);
  // Counted two places to the right, entry e + 1 is where the next row of expert e goes; once they
  // all are there, it is where the rows of the expert after it begin.
  auto& offsets = routing.offsets_E;
  offsets.resize(static_cast<size_t>(experts) + 2);
  for (const int32_t e : routing.expert_TK) ++offsets[static_cast<size_t>(e) + 2];
  for (size_t e = 1; e < offsets.size(); ++e) offsets[e] += offsets[e - 1];
  for (size_t i = 0; i < routing.expert_TK.size(); ++i) {
    const int64_t row = offsets[static_cast<size_t>(chosen[i]) + 1]++;
    routing.token_N[static_cast<size_t>(row)] =
        static_cast<int32_t>(static_cast<int64_t>(i) / top_k);
    routing.row_of_TK[i] = static_cast<int32_t>(row);
  }
  offsets.resize(static_cast<size_t>(experts) + 1);
  return routing;
}

Routing route_top_k(const Tensor& logits_TE, int64_t top_k) {
  if (logits_TE.rank() != 2) {
    throw ShapeError(str("route_top_k: logits are ", logits_TE.shape(), ", needs [T, E]"));
  }
  if (logits_TE.dtype() != DType::kF32) {
    throw NotSupported(str("route_top_k: logits are ", logits_TE.dtype(), ", needs f32"));
  }
  const int64_t T = logits_TE.dim(0);
  const int64_t E = logits_TE.dim(1);
  if (top_k < 1 || top_k > E) {
    throw ShapeError(str("route_top_k: ", top_k, " experts a token of ", E, ", needs 1 to ", E));
  }
  RowNumbers expert_TK(static_cast<size_t>(T * top_k));
  const float* logits = logits_TE.data<float>();
  int32_t* chosen = expert_TK.data();
  logits_TE.device()->threads().parallel_for(
      T, std::max<int64_t>(1, kGrain / E), [&](int64_t begin, int64_t end) {
        for (int64_t t = begin; t < end; ++t) {
          choose_experts(logits + t * E, E, top_k, chosen + t * top_k);
        }
      });
  for (int64_t t = 0; t < T; ++t) {
    if (chosen[t * top_k] == kNone) {
      throw Error(str("route_top_k: token ", t, " has a router logit that is not a number"));
    }
  }
  return make_routing(std::move(expert_TK), T, E, top_k);
}

}  // namespace corral::ops
