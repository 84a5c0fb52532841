#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/random.h"
#include "engine/constraint/token_mask.h"
#include "engine/likelihoods.h"

namespace corral::engine {

/// How the next token is chosen from the logits.
struct SamplingOptions {
  double temperature = 0.7;  // 0: always the likeliest token
  int64_t top_k = 0;         // keep the k likeliest; 0: all
  double top_p = 0.95;       // keep the fewest whose probabilities sum to p; 1: all
  double min_p = 0.0;        // drop those less likely than min_p times the likeliest; 0: none
  double repetition_penalty =
      1.0;  // logits of tokens seen before are divided (or, negative, multiplied) by it
  int64_t repetition_window = 256;  // how many of the last tokens count as seen
  double presence_penalty = 0;      // taken from the logit of each token that was chosen before
  double frequency_penalty = 0;     // the same, times how often it was chosen
  std::vector<std::pair<int32_t, double>> logit_bias;  // token, what is added to its logit
  uint64_t seed = 0;

  /// Throws UsageError naming the option, its value and its range.
  void check() const;
};

/// Chooses tokens one after another. The n-th choice is a pure function of (options, n, logits,
/// mask and the tokens before), so the same seed gives the same text. The filters apply in the
/// order of transformers: mask, bias and penalties, repetition penalty (arXiv:1909.05858),
/// temperature, top-k, top-p (arXiv:1904.09751), min-p (arXiv:2407.01082), each on what the one
/// before left.
///
/// The work is a few passes over the vocabulary: logits are first told apart into ranges, and only
/// the ranges that a limit or the choice itself falls into are put in order.
class Sampler {
 public:
  explicit Sampler(const SamplingOptions& options);

  /// The next token of logits [V]; `context` are all tokens so far. Presence and frequency count
  /// what this sampler chose, not the prompt. Ties go to the lowest id. mask: if given, only these
  /// tokens. Throws Error when a logit is NaN or none that the mask has is finite.
  int32_t sample(std::span<const float> logits_V, std::span<const int32_t> context,
                 const TokenMask* mask = nullptr);

  /// Another sampler that will choose as this one does from here on.
  Sampler fork() const;

 private:
  int32_t choose(std::span<const float> logits_V, std::span<const int32_t> context,
                 const TokenMask* mask);
  bool changes_logits() const;
  void read_logits(std::span<const float> logits_V, const TokenMask* mask);
  void add_bias();
  void penalise(std::span<const int32_t> context);
  void keep_top_k();
  int32_t draw(double best);

  SamplingOptions options_;
  Philox random_;
  uint64_t drawn_ = 0;
  std::unordered_map<int32_t, int64_t> chosen_;  // how often; kept only when a penalty asks
  // Reused from call to call:
  std::vector<double> logits_;  // minus infinity for what cannot be chosen
  Likelihoods likelihoods_;
};

/// The token with the greatest logit; the lowest id among equals.
int32_t greedy_token(std::span<const float> logits_V);

}  // namespace corral::engine
