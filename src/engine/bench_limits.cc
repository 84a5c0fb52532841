#include "engine/bench_limits.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <functional>
#include <set>

#include "base/available_memory.h"
#include "base/clock.h"
#include "base/cpu_topology.h"
#include "model/layer_spec.h"
#include "ops/matmul/matmul.h"
#include "simd/isa.h"
#include "tensor/peak.h"

namespace corral::engine {
namespace {

int64_t matrix_bytes(const quant::LinearWeight& w) {
  const int64_t codes = w.out_features * w.in_features;
  if (w.coding == quant::Coding::kNone) return bytes_of(w.data.dtype(), codes);
  const int64_t scale_bytes = w.scales.defined() ? w.scales.size_bytes() / w.count : 0;
  return (w.coding == quant::Coding::kInt4 ? codes / 2 : codes) + scale_bytes;
}

/// Calls use(weight, matrices of it that a token is multiplied with, whether it is a stack of
/// experts) for every product of a token.
void for_each_product(const model::TextModel& model,
                      const std::function<void(const quant::LinearWeight&, int64_t, bool)>& use) {
  const model::TextWeights& weights = model.weights();
  use(weights.readout, 1, false);
  for (size_t i = 0; i < weights.layers.size(); ++i) {
    const model::LayerWeights& layer = weights.layers[i];
    const model::AttentionWeights& a = layer.attention;
    for (const auto* w : {&a.q, &a.k, &a.v, &a.o}) use(*w, 1, false);
    const auto mlp = [&](const model::MlpWeights& m, int64_t matrices, bool experts) {
      for (const auto* w : {&m.gate, &m.up, &m.down}) use(*w, matrices, experts);
    };
    if (layer.dense) {
      mlp(*layer.dense, 1, false);
    } else {
      use(layer.moe->router, 1, false);
      mlp(layer.moe->shared, 1, false);
      mlp(layer.moe->experts, model.layers()[i].experts_per_token, true);
    }
  }
}

constexpr int64_t kLeastBandwidthBytes = int64_t{128} << 20;
constexpr int64_t kMostBandwidthBytes = int64_t{4} << 30;

/// Bytes that are read to measure the bandwidth: caches must not hold much of them, and where they
/// are not the model's it must still fit beside them.
int64_t bandwidth_bytes() {
  const int64_t caches = level3_cache_bytes("/", allowed_cpus());
  const int64_t most = std::min(kMostBandwidthBytes, available_memory_bytes() / 4);
  return std::clamp(4 * caches, kLeastBandwidthBytes, std::max(kLeastBandwidthBytes, most));
}

// The fastest way to read that was found (docs/performance-amx.md): streams not far from each
// other, at different places of their pages, that ask ahead. A load brings a whole line.
constexpr int64_t kStreams = 4;
constexpr int64_t kStreamBytes = (128 << 10) + 1024;
constexpr int64_t kTurnBytes = kStreams * kStreamBytes;
constexpr int64_t kLineBytes = 64;
constexpr int64_t kBytesAhead = 2048;

uint64_t read_streams(const std::byte* at) {
  uint64_t sum = 0;
  for (int64_t line = 0; line < kStreamBytes; line += kLineBytes) {
    for (int64_t s = 0; s < kStreams; ++s) {
      const std::byte* const here = at + s * kStreamBytes + line;
      __builtin_prefetch(here + kBytesAhead);
      sum += static_cast<uint64_t>(*here);
    }
  }
  return sum;
}

/// Of `experts`, those that `choices` even choices are expected to wake.
double expected_awake(int64_t experts, int64_t choices) {
  const auto E = static_cast<double>(experts);
  return E * (1 - std::pow(1 - 1 / E, static_cast<double>(choices)));
}

}  // namespace

int64_t weight_bytes_per_step(const model::TextModel& model, int64_t sequences) {
  const model::TextWeights& weights = model.weights();
  int64_t bytes = weights.final_norm.size_bytes() +
                  sequences * weights.embedding.size_bytes() / weights.embedding.dim(0);
  for (const model::LayerWeights& layer : weights.layers) {
    bytes += layer.attention_norm.size_bytes() + layer.mlp_norm.size_bytes();
  }
  for_each_product(model, [&](const quant::LinearWeight& w, int64_t matrices, bool experts) {
    const double awake = experts && sequences > 1 ? expected_awake(w.count, sequences * matrices)
                                                  : static_cast<double>(matrices);
    bytes += std::llround(awake * static_cast<double>(matrix_bytes(w)));
  });
  return bytes;
}

int64_t kv_bytes_per_token(const model::Config& config, int64_t position, kv::KvTypes types) {
  int64_t keys = 0;
  for (const model::LayerSpec& layer : model::layer_specs(config)) {
    keys += position - layer.attention.span().first_visible(position) + 1;
  }
  const int64_t tile =
      kv::key_tile_bytes(types.k, config.head_dim) + kv::value_tile_bytes(types.v, config.head_dim);
  return keys * config.num_key_value_heads * (tile / kv::kTileTokens);
}

namespace {

/// Weights that the end of a prompt alone is multiplied with: its logits are all that is wanted,
/// and of the last layer the keys and values of the others.
std::set<const quant::LinearWeight*> multiplied_with_last_row(const model::TextModel& model) {
  const model::TextWeights& weights = model.weights();
  const model::LayerWeights& last = weights.layers.back();
  std::set<const quant::LinearWeight*> found = {&weights.readout, &last.attention.q,
                                                &last.attention.o};
  const auto add = [&](const model::MlpWeights& mlp) {
    found.insert({&mlp.gate, &mlp.up, &mlp.down});
  };
  if (last.dense) add(*last.dense);
  if (last.moe) {
    found.insert(&last.moe->router);
    add(last.moe->experts);
    add(last.moe->shared);
  }
  return found;
}

}  // namespace

PromptWork prompt_work(const model::TextModel& model, int64_t tokens, quant::Precision precision,
                       kv::KvTypes types) {
  PromptWork work;
  const bool bf16 = precision == quant::Precision::kBF16;
  const simd::Isa isa = model.device()->isa();
  const std::set<const quant::LinearWeight*> of_last_row = multiplied_with_last_row(model);
  for_each_product(model, [&](const quant::LinearWeight& w, int64_t matrices, bool) {
    const int64_t rows = of_last_row.contains(&w) ? 1 : tokens;
    const double operations = 2.0 * static_cast<double>(rows) * static_cast<double>(matrices) *
                              static_cast<double>(w.out_features * w.in_features);
    if (is_block(w.data.dtype())) {
      const bool int8 = ops::arithmetic_of_blocks(w.data.dtype()) == Arithmetic::kInt8;
      (int8 ? work.int8 : work.int4) += operations;
    } else if (bf16) {
      work.bf16 += operations;
    } else if (const int products = ops::tile_products(isa, w.data.dtype(), w.out_features);
               products > 0) {
      work.bf16 += products * operations;
    } else {
      work.f32 += operations;
    }
  });
  double pairs = 0;  // of queries and keys, in all layers
  for (const model::LayerSpec& layer : model.layers()) {
    if (&layer == &model.layers().back()) {
      pairs += static_cast<double>(tokens - layer.attention.span().first_visible(tokens - 1));
      continue;
    }
    const int64_t chunk = layer.attention.chunk_size;
    const int64_t span = chunk > 0 ? std::min(chunk, tokens) : tokens;
    const auto whole = static_cast<double>(tokens / span);
    const auto s = static_cast<double>(span);
    const auto rest = static_cast<double>(tokens % span);
    pairs += whole * s * (s + 1) / 2 + rest * (rest + 1) / 2;
  }
  const model::Config& c = model.config();
  const double each = 2.0 * static_cast<double>(c.num_attention_heads * c.head_dim) * pairs;
  // Attention has no tiles.
  const bool tiles = isa == simd::Isa::kAmx;
  (types.k == DType::kBF16 && !tiles ? work.bf16 : work.f32) += each;
  (types.v == DType::kBF16 && !tiles ? work.bf16 : work.f32) += each;
  return work;
}

ReadBandwidth::ReadBandwidth(const model::TextModel& model) : device_(*model.device()) {
  const auto most = static_cast<size_t>(bandwidth_bytes() / kTurnBytes);
  const auto add_turns = [&](const std::byte* at, int64_t bytes) {
    for (int64_t t = 0; t < bytes / kTurnBytes && turns_.size() < most; ++t) {
      turns_.push_back(at + t * kTurnBytes);
    }
  };
  std::set<const std::byte*> seen;  // several weights may be views of one tensor
  for_each_product(model, [&](const quant::LinearWeight& w, int64_t, bool) {
    const auto* const at = w.data.data<std::byte>();
    if (seen.insert(at).second) add_turns(at, w.data.size_bytes());
  });
  if (turns_.size() == most) return;
  own_bytes_ = static_cast<int64_t>(most) * kTurnBytes;
  own_ = device_.allocate(own_bytes_);
  device_.threads().parallel_for(own_bytes_, 1 << 20, [&](int64_t begin, int64_t end) {
    std::memset(own_ + begin, 1, static_cast<size_t>(end - begin));
  });
  turns_.clear();
  add_turns(own_, own_bytes_);
}

ReadBandwidth::~ReadBandwidth() {
  if (own_ != nullptr) device_.release(own_, own_bytes_);
}

double ReadBandwidth::measure() {
  const auto turns = static_cast<int64_t>(turns_.size());
  std::atomic<uint64_t> total{0};  // so that the loads cannot be left out
  const auto start = Clock::now();
  device_.threads().parallel_for(turns, 1, [&](int64_t begin, int64_t end) {
    uint64_t sum = 0;
    for (int64_t i = begin; i < end; ++i) sum += read_streams(turns_[static_cast<size_t>(i)]);
    total += sum;
  });
  return static_cast<double>(turns * kTurnBytes) / 1e9 / seconds_since(start);
}

double seconds_at_peak(Device& device, const PromptWork& work) {
  double seconds = 0;
  const auto add = [&](double operations, Arithmetic arithmetic) {
    if (operations > 0) seconds += operations / measure_peak(device, arithmetic);
  };
  add(work.f32, Arithmetic::kF32);
  add(work.bf16, Arithmetic::kBF16);
  add(work.int8, Arithmetic::kInt8);
  add(work.int4, Arithmetic::kInt4);
  return seconds;
}

}  // namespace corral::engine
