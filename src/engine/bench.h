#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "engine/session.h"
#include "engine/speculation/speculator.h"
#include "model/text_model.h"

namespace corral::engine {

/// What to measure.
struct BenchOptions {
  int64_t prompt_tokens = 512;
  int64_t generated_tokens = 64;
  int64_t depth_tokens = 0;  // in the cache before decoding starts
  int64_t sequences = 1;     // decoded together, a token of each in every step
  int64_t repetitions = 5;   // after one that is not counted
  int64_t piece_tokens = kPieceTokens;
  kv::KvTypes kv_types = {};
  quant::Precision precision = quant::Precision::kF32;

  /// A text whose last generated_tokens are decoded as if the model chose them, plainly and with
  /// what make_speculator() returns: how much does guessing bring on such text? Empty: not
  /// measured.
  std::vector<int32_t> text = {};
  std::function<std::unique_ptr<Speculator>()> make_speculator = nullptr;
};

/// Samples of one speed.
struct Samples {
  std::vector<double> all;
  double median() const;
  double min() const;
  double max() const;
  /// Standard deviation; 0 of fewer than two.
  double deviation() const;
  /// Each over that of `limits` from the same run.
  Samples shares(const Samples& limits) const;
};

struct BenchResult {
  Samples prefill_tps;
  Samples decode_tps;                  // of all sequences together
  int64_t weight_bytes_per_token = 0;  // that one decoded token has to read
  Samples read_gb_per_s;               // memory bandwidth before and after each decoding
  /// The most that this machine could have done (engine/bench_limits.h), by what it gave right
  /// before and after each run: other work on it moves both by tens of percent within seconds.
  Samples prefill_limit_tps;
  Samples decode_limit_tps;

  Samples text_plain_tps;
  Samples text_speculative_tps;
  SpeculationStats speculation;  // of all counted runs
};

/// Times prefill and decoding of pseudo-random tokens, as the peer harnesses do: random tokens
/// spread over the experts, while a random model's own greedy output soon repeats itself. on_run is
/// called after each repetition.
BenchResult bench(const model::TextModel& model, const BenchOptions& options,
                  const std::function<void(int64_t run)>& on_run = nullptr);

}  // namespace corral::engine
