#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/sampler.h"

namespace corral::engine {

/// Kinds of guesses, by how much a source trusts them: their success is counted apart.
inline constexpr int kConfidences = 4;
inline constexpr int kNoGuess = -1;
/// Tokens before an expected answer by which its beginning is recognised.
inline constexpr size_t kContextTokens = 2;

/// A text that grows, for which somebody may guess what follows.
struct DraftText {
  int64_t key = 0;                  // tells it from the others, as long as it grows
  std::span<const int32_t> tokens;  // so far
  // How it may go on, if somebody said so: its last kContextTokens tokens when the answer began,
  // and what is expected behind them. Stays as it is.
  std::span<const int32_t> expected = {};
  int64_t room = 0;                  // most tokens that may be guessed
  const Sampler* sampler = nullptr;  // in the state in which it will choose the first of them
};

/// A guess at how a text goes on.
struct Draft {
  std::vector<int32_t> tokens = {};
  int confidence = kNoGuess;  // 0 to kConfidences - 1, or that there was nothing to guess from
};

/// Guesses tokens cheaply. The model then checks all of them in one batch, so a wrong guess costs
/// time and never changes a token. Not thread-safe.
class DraftSource {
 public:
  virtual ~DraftSource() = default;
  /// How much it would trust its guess for each text: 0 to kConfidences - 1, or kNoGuess.
  virtual std::vector<int> look(std::span<const DraftText> texts) = 0;

  struct Proposal {
    std::vector<std::vector<int32_t>> tokens;  // of each text
    bool caught_up = false;  // read what was new to it: the next proposal takes less time
  };
  /// What may follow each of the texts that it just looked at: at most lengths[i] tokens.
  virtual Proposal propose(std::span<const DraftText> texts, std::span<const int64_t> lengths) = 0;
  /// The text grows no more.
  virtual void forget(int64_t key) = 0;
};

}  // namespace corral::engine
