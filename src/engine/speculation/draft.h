#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/sampler.h"

namespace corral::engine {

/// Kinds of guesses, by how much a source trusts them: their success is counted apart.
inline constexpr int kConfidences = 4;
/// Tokens wanted of a guess of each kind, the least trusted first.
using DraftLengths = std::array<int64_t, kConfidences>;

/// A guess at how a text goes on.
struct Draft {
  std::vector<int32_t> tokens;
  int confidence = -1;  // 0 to kConfidences - 1; -1: there was nothing to guess from
};

/// Guesses tokens cheaply. The model then checks all of them in one batch, so a wrong guess costs
/// time and never changes a token. Not thread-safe.
class DraftSource {
 public:
  virtual ~DraftSource() = default;
  /// What may follow `context`, all tokens so far; at most wanted[confidence] tokens. The sampler
  /// is in the state in which it will choose the first of them.
  virtual Draft propose(std::span<const int32_t> context, const DraftLengths& wanted,
                        const Sampler& sampler) = 0;
};

}  // namespace corral::engine
