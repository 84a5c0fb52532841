#include "engine/bench.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/clock.h"
#include "base/random.h"
#include "engine/bench_limits.h"
#include "engine/session.h"
#include "kv/kv_cache.h"

namespace corral::engine {
namespace {

std::vector<int32_t> random_tokens(int64_t count, int64_t vocab_size, uint64_t seed) {
  const Philox random(seed);
  std::vector<int32_t> tokens;
  for (int64_t i = 0; i < count; ++i) {
    tokens.push_back(static_cast<int32_t>(
        random.below(static_cast<uint64_t>(vocab_size), static_cast<uint64_t>(i))));
  }
  return tokens;
}

// Sequences that are fed the same tokens and thrown away.
class Run {
 public:
  Run(const model::TextModel& model, const BenchOptions& options, int64_t sequences)
      : model_(model), cache_(model.kv_layout(options.kv_types), model.device()) {
    forward_.cache = &cache_;
    forward_.precision = options.precision;
    for (int64_t i = 0; i < sequences; ++i) sequences_.push_back(cache_.create());
  }

  // Feeds tokens to the first sequence, in pieces, and gives its state to the others.
  void prefill(std::span<const int32_t> tokens, int64_t piece) {
    for (size_t begin = 0; begin < tokens.size();) {
      const size_t length = std::min(static_cast<size_t>(piece), tokens.size() - begin);
      kv::Batch batch;
      batch.append(tokens.subspan(begin, length), position_, sequences_.front());
      position_ += static_cast<int64_t>(length);
      begin += length;
      forward(batch, begin == tokens.size() ? 1 : 0);
    }
    for (size_t i = 1; i < sequences_.size(); ++i) {
      cache_.release(sequences_[i]);
      sequences_[i] = cache_.fork(sequences_.front());
    }
  }

  // One step: the next token of each sequence.
  void decode(std::span<const int32_t> tokens) {
    kv::Batch batch;
    for (size_t i = 0; i < sequences_.size(); ++i) {
      batch.append(tokens.subspan(i, 1), position_, sequences_[i]);
    }
    forward(batch, batch.size());
    ++position_;
  }

 private:
  // With logits of so many rows at the end, as somebody who samples would ask for.
  void forward(const kv::Batch& batch, int64_t wanted) {
    std::vector<int64_t> rows(static_cast<size_t>(wanted));
    std::iota(rows.begin(), rows.end(), batch.size() - wanted);
    const Tensor hidden_ND = model_.hidden_of(batch, rows, forward_);
    if (wanted > 0) model_.logits(hidden_ND, forward_);
  }

  const model::TextModel& model_;
  kv::KvCache cache_;
  model::ForwardOptions forward_;
  std::vector<int64_t> sequences_;
  int64_t position_ = 0;
};

double prefill_tps(const model::TextModel& model, const BenchOptions& options) {
  const auto tokens = random_tokens(options.prompt_tokens, model.config().vocab_size, 1);
  Run run(model, options, 1);
  const auto start = Clock::now();
  run.prefill(tokens, options.piece_tokens);
  return static_cast<double>(options.prompt_tokens) / seconds_since(start);
}

double decode_tps(const model::TextModel& model, const BenchOptions& options) {
  const int64_t decoded = options.generated_tokens * options.sequences;
  const auto tokens = random_tokens(options.depth_tokens + decoded, model.config().vocab_size, 2);
  Run run(model, options, options.sequences);
  // Brings back what reading memory drove out of the caches.
  Run(model, options, 1).decode(tokens);
  const auto depth = static_cast<size_t>(options.depth_tokens);
  run.prefill(std::span(tokens).first(depth), options.piece_tokens);
  const auto start = Clock::now();
  const auto step = static_cast<size_t>(options.sequences);
  for (size_t at = depth; at < tokens.size(); at += step) {
    run.decode(std::span(tokens).subspan(at, step));
  }
  return static_cast<double>(decoded) / seconds_since(start);
}

// The end of the text, decoded as if the model chose it.
Answer decode_text(Session& session, const BenchOptions& options, Speculator* speculator) {
  const auto decoded =
      std::min(static_cast<size_t>(options.generated_tokens), options.text.size() - 1);
  const auto prompt = std::span(options.text).first(options.text.size() - decoded);
  GenerateOptions generate;
  generate.sampling.temperature = 0;
  generate.max_tokens = static_cast<int64_t>(decoded);
  generate.forced.assign(options.text.end() - static_cast<ptrdiff_t>(decoded), options.text.end());
  return session.generate(prompt, generate, nullptr, speculator);
}

double tps_of(const Answer& answer) {
  return static_cast<double>(answer.tokens.size()) / answer.decode_seconds;
}

void bench_text(Session& session, const BenchOptions& options, bool counted, BenchResult& result) {
  const auto speculator = options.make_speculator ? options.make_speculator() : nullptr;
  const Answer plain = decode_text(session, options, nullptr);
  if (counted) result.text_plain_tps.all.push_back(tps_of(plain));
  if (speculator == nullptr) return;
  const Answer guessed = decode_text(session, options, speculator.get());
  if (!counted) return;
  result.text_speculative_tps.all.push_back(tps_of(guessed));
  result.speculation.steps += guessed.speculation.steps;
  result.speculation.drafted += guessed.speculation.drafted;
  result.speculation.accepted += guessed.speculation.accepted;
}

// Runs prefill and decoding with their bounds beside them.
class Measurement {
 public:
  Measurement(const model::TextModel& model, const BenchOptions& options, BenchResult& result)
      : model_(model), options_(options), result_(result), memory_(model) {}

  void prefill(bool counted) {
    const PromptWork work =
        prompt_work(model_, options_.prompt_tokens, options_.precision, options_.kv_types);
    const double before = seconds_at_peak(*model_.device(), work);
    const double tps = prefill_tps(model_, options_);
    const double after = seconds_at_peak(*model_.device(), work);
    if (!counted) return;
    result_.prefill_tps.all.push_back(tps);
    result_.prefill_limit_tps.all.push_back(static_cast<double>(options_.prompt_tokens) /
                                            ((before + after) / 2));
  }

  void decode(bool counted) {
    const double before = memory_.measure();
    const double tps = decode_tps(model_, options_);
    const double after = memory_.measure();
    if (!counted) return;
    result_.decode_tps.all.push_back(tps);
    for (const double read : {before, after}) result_.read_gb_per_s.all.push_back(read);
    result_.decode_limit_tps.all.push_back((before + after) / 2 * 1e9 / bytes_per_token());
  }

 private:
  // Of a step its weights once, and keys and values of each sequence halfway through the run.
  double bytes_per_token() const {
    const int64_t sequences = options_.sequences;
    const int64_t position = options_.depth_tokens + options_.generated_tokens / 2;
    const int64_t keys_and_values =
        kv_bytes_per_token(model_.config(), position, options_.kv_types);
    return static_cast<double>(weight_bytes_per_step(model_, sequences) +
                               sequences * keys_and_values) /
           static_cast<double>(sequences);
  }

  const model::TextModel& model_;
  const BenchOptions& options_;
  BenchResult& result_;
  ReadBandwidth memory_;
};

}  // namespace

double Samples::median() const {
  std::vector<double> sorted = all;
  std::sort(sorted.begin(), sorted.end());
  const size_t middle = sorted.size() / 2;
  if (sorted.empty()) return 0;
  return sorted.size() % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
double Samples::min() const { return all.empty() ? 0 : *std::min_element(all.begin(), all.end()); }
double Samples::max() const { return all.empty() ? 0 : *std::max_element(all.begin(), all.end()); }

double Samples::deviation() const {
  if (all.size() < 2) return 0;
  const auto n = static_cast<double>(all.size());
  const double mean = std::accumulate(all.begin(), all.end(), 0.0) / n;
  double squares = 0;
  for (const double x : all) squares += (x - mean) * (x - mean);
  return std::sqrt(squares / (n - 1));
}

Samples Samples::shares(const Samples& limits) const {
  Samples shares;
  for (size_t i = 0; i < std::min(all.size(), limits.all.size()); ++i) {
    shares.all.push_back(all[i] / limits.all[i]);
  }
  return shares;
}

BenchResult bench(const model::TextModel& model, const BenchOptions& options,
                  const std::function<void(int64_t run)>& on_run) {
  BenchResult result;
  model::ForwardOptions forward;
  forward.precision = options.precision;
  Session session(model, nullptr, forward, options.piece_tokens, options.kv_types);
  result.weight_bytes_per_token = weight_bytes_per_step(model);
  Measurement measurement(model, options, result);
  for (int64_t run = 0; run <= options.repetitions; ++run) {
    const bool counted = run > 0;  // the first one warms caches and allocator
    if (options.prompt_tokens > 0) measurement.prefill(counted);
    if (options.generated_tokens > 0) measurement.decode(counted);
    if (options.text.size() > 1 && options.generated_tokens > 0) {
      bench_text(session, options, counted, result);
    }
    if (on_run) on_run(run);
  }
  return result;
}

}  // namespace corral::engine
