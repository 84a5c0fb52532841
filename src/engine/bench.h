#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "model/text_model.h"

namespace corral::engine {

/// What to measure.
struct BenchOptions {
  int64_t prompt_tokens = 512;
  int64_t generated_tokens = 64;
  int64_t depth_tokens = 0;  // in the cache before decoding starts
  int64_t repetitions = 5;   // after one that is not counted
  int64_t piece_tokens = 512;
  quant::Precision precision = quant::Precision::kF32;
};

/// Samples of one speed.
struct Samples {
  std::vector<double> all;
  double median() const;
  double min() const;
  double max() const;
};

struct BenchResult {
  Samples prefill_tps;
  Samples decode_tps;
  int64_t weight_bytes_per_token = 0;  // that one decoded token has to read
  Samples read_gb_per_s;               // memory bandwidth, measured before and between the runs
};

/// Weight bytes that decoding one token must touch: everything but the embedding table and the
/// experts that were not chosen.
int64_t weight_bytes_per_token(const model::TextModel& model);

/// Bandwidth of reading a buffer much larger than the caches with all threads, in GB/s (1e9 bytes).
double measure_read_bandwidth(Device& device);

/// Times prefill and decoding of pseudo-random tokens, as the peer harnesses do: random tokens
/// spread over the experts, while a random model's own greedy output soon repeats itself. on_run is
/// called after each repetition.
BenchResult bench(const model::TextModel& model, const BenchOptions& options,
                  const std::function<void(int64_t run)>& on_run = nullptr);

}  // namespace corral::engine
