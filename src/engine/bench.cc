#include "engine/bench.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>

#include "base/random.h"
#include "kv/kv_cache.h"
#include "model/layer_spec.h"

namespace corral::engine {
namespace {

using Clock = std::chrono::steady_clock;

// Far beyond any last-level cache of today's machines, yet quick to read.
constexpr int64_t kBandwidthBytes = int64_t{512} << 20;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

std::vector<int32_t> random_tokens(int64_t count, int64_t vocab_size, uint64_t seed) {
  const Philox random(seed);
  std::vector<int32_t> tokens;
  for (int64_t i = 0; i < count; ++i) {
    tokens.push_back(static_cast<int32_t>(
        random.below(static_cast<uint64_t>(vocab_size), static_cast<uint64_t>(i))));
  }
  return tokens;
}

int64_t stack_bytes(const quant::LinearWeight& w, int64_t used) {
  return bytes_of(w.data.dtype(), used * w.out_features * w.in_features);
}

int64_t mlp_bytes(const model::MlpWeights& mlp, int64_t used) {
  return stack_bytes(mlp.gate, used) + stack_bytes(mlp.up, used) + stack_bytes(mlp.down, used);
}

// A sequence that is fed and thrown away.
class Run {
 public:
  Run(const model::TextModel& model, const BenchOptions& options)
      : model_(model), cache_(model.kv_layout(), model.device()) {
    forward_.cache = &cache_;
    forward_.precision = options.precision;
    sequence_ = cache_.create();
  }

  // Feeds tokens in pieces; logits of the last one only.
  void feed(std::span<const int32_t> tokens, int64_t piece) {
    for (size_t begin = 0; begin < tokens.size();) {
      const size_t length = std::min(static_cast<size_t>(piece), tokens.size() - begin);
      kv::Batch batch;
      batch.append(tokens.subspan(begin, length), position_, sequence_);
      const Tensor hidden_TD = model_.hidden(batch, forward_);
      model_.logits(hidden_TD.rows(hidden_TD.dim(0) - 1, hidden_TD.dim(0)), forward_);
      position_ += static_cast<int64_t>(length);
      begin += length;
    }
  }

 private:
  const model::TextModel& model_;
  kv::KvCache cache_;
  model::ForwardOptions forward_;
  int64_t sequence_;
  int64_t position_ = 0;
};

double prefill_tps(const model::TextModel& model, const BenchOptions& options) {
  const auto tokens = random_tokens(options.prompt_tokens, model.config().vocab_size, 1);
  Run run(model, options);
  const auto start = Clock::now();
  run.feed(tokens, options.piece_tokens);
  return static_cast<double>(options.prompt_tokens) / seconds_since(start);
}

double decode_tps(const model::TextModel& model, const BenchOptions& options) {
  const auto tokens =
      random_tokens(options.depth_tokens + options.generated_tokens, model.config().vocab_size, 2);
  Run run(model, options);
  const auto depth = static_cast<size_t>(options.depth_tokens);
  run.feed(std::span(tokens).first(depth), options.piece_tokens);
  const auto start = Clock::now();
  run.feed(std::span(tokens).subspan(depth), 1);
  return static_cast<double>(options.generated_tokens) / seconds_since(start);
}

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

int64_t weight_bytes_per_token(const model::TextModel& model) {
  const model::TextWeights& weights = model.weights();
  int64_t bytes = stack_bytes(weights.readout, 1) + weights.final_norm.size_bytes() +
                  weights.embedding.size_bytes() / weights.embedding.dim(0);
  for (size_t i = 0; i < weights.layers.size(); ++i) {
    const model::LayerWeights& layer = weights.layers[i];
    bytes += layer.attention_norm.size_bytes() + layer.mlp_norm.size_bytes();
    bytes += stack_bytes(layer.attention.q, 1) + stack_bytes(layer.attention.k, 1) +
             stack_bytes(layer.attention.v, 1) + stack_bytes(layer.attention.o, 1);
    if (layer.dense) {
      bytes += mlp_bytes(*layer.dense, 1);
    } else {
      bytes += stack_bytes(layer.moe->router, 1) + mlp_bytes(layer.moe->shared, 1) +
               mlp_bytes(layer.moe->experts, model.layers()[i].experts_per_token);
    }
  }
  return bytes;
}

double measure_read_bandwidth(Device& device) {
  const int64_t words = kBandwidthBytes / 8;
  std::byte* memory = device.allocate(kBandwidthBytes);
  auto* data = reinterpret_cast<uint64_t*>(memory);
  device.threads().parallel_for(words, 1 << 16, [&](int64_t begin, int64_t end) {
    std::memset(data + begin, 1, static_cast<size_t>(end - begin) * 8);
  });
  std::atomic<uint64_t> total{0};  // so that the loads cannot be left out
  const auto start = Clock::now();
  device.threads().parallel_for(words, 1 << 16, [&](int64_t begin, int64_t end) {
    uint64_t sum = 0;
    for (int64_t i = begin; i < end; ++i) sum += data[i];
    total += sum;
  });
  const double seconds = seconds_since(start);
  device.release(memory, kBandwidthBytes);
  return static_cast<double>(kBandwidthBytes) / 1e9 / seconds;
}

BenchResult bench(const model::TextModel& model, const BenchOptions& options,
                  const std::function<void(int64_t run)>& on_run) {
  BenchResult result;
  result.weight_bytes_per_token = weight_bytes_per_token(model);
  for (int64_t run = 0; run <= options.repetitions; ++run) {
    const double bandwidth = measure_read_bandwidth(*model.device());
    const double prefill = options.prompt_tokens > 0 ? prefill_tps(model, options) : 0;
    const double decode = options.generated_tokens > 0 ? decode_tps(model, options) : 0;
    if (run > 0) {  // the first one warms caches and allocator
      result.read_gb_per_s.all.push_back(bandwidth);
      if (options.prompt_tokens > 0) result.prefill_tps.all.push_back(prefill);
      if (options.generated_tokens > 0) result.decode_tps.all.push_back(decode);
    }
    if (on_run) on_run(run);
  }
  return result;
}

}  // namespace corral::engine
