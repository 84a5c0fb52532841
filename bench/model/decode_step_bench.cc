// One decode step, and the same step with next to nothing in its kernels: a model with as many
// layers, experts and operations whose sizes are the smallest that the kernels take. What that one
// takes is what operations cost by themselves (checks, memory, threads), a little above it.

#include <benchmark/benchmark.h>

#include "autograd/tape.h"
#include "kv/kv_cache.h"
#include "model/initialise.h"
#include "model/presets.h"
#include "model/text_model.h"

namespace corral::model {
namespace {

constexpr int64_t kPromptTokens = 64;
constexpr int64_t kLongestSequence = 256;

Config hollow(Config c) {
  c.hidden_size = 16;
  c.head_dim = 16;
  c.num_attention_heads = 1;
  c.num_key_value_heads = 1;
  c.intermediate_size = 16;
  c.intermediate_size_mlp = 16;
  c.vocab_size = 16;
  c.normalise();
  return c;
}

// Between the miniatures and what people run.
Config width_512() {
  Config c = find_preset("scout-mini").config;
  c.hidden_size = 512;
  c.head_dim = 128;
  c.num_attention_heads = 4;
  c.num_key_value_heads = 2;
  c.intermediate_size = 1024;
  c.intermediate_size_mlp = 2048;
  c.normalise();
  return c;
}

// One of Scout's layers. Of its experts a token reads one, so two are enough.
Config scout_layer() {
  Config c = find_preset("scout").config;
  c.num_hidden_layers = 1;
  c.num_local_experts = 2;
  c.no_rope_layers.clear();
  c.moe_layers.clear();
  c.vocab_size = 16;
  c.normalise();
  return c;
}

// Matrices of zeros: values do not matter to the time, and Scout's would take minutes to draw.
TextModel model_of(const Config& config, DType dtype, const DevicePtr& device) {
  return TextModel(config, arrange_weights(config, [&](const ParameterInfo& parameter) {
                     const bool matrix = parameter.shape.rank() >= 2;
                     return Tensor::zeros(parameter.shape, matrix ? dtype : DType::kF32, device);
                   }));
}

void decode_step(benchmark::State& state, const Config& config, DType dtype) {
  const DevicePtr device = Device::cpu({.threads = static_cast<int>(state.range(0))});
  const TextModel model = model_of(config, dtype, device);
  const autograd::NoGrad no_grad;
  kv::KvCache cache(model.kv_layout(), device);
  ForwardOptions options;
  options.precision = quant::Precision::kBF16;
  options.cache = &cache;
  int64_t sequence = -1;
  int64_t length = kLongestSequence;
  for (auto _ : state) {
    if (length == kLongestSequence) {
      state.PauseTiming();
      if (sequence >= 0) cache.release(sequence);
      sequence = cache.create();
      kv::Batch prompt;
      prompt.append(std::vector<int32_t>(kPromptTokens, 1), 0, sequence);
      model.hidden(prompt, options);
      length = kPromptTokens;
      state.ResumeTiming();
    }
    const int32_t token = 1;
    kv::Batch batch;
    batch.append(std::span<const int32_t>(&token, 1), length++, sequence);
    benchmark::DoNotOptimize(model.logits(model.hidden(batch, options), options));
  }
}

void mini(benchmark::State& state) {
  decode_step(state, find_preset("scout-mini").config, DType::kBF16);
}
// hollow_mini is the hollow copy of these, too: they have as many layers.
void mini_of_320(benchmark::State& state) {
  decode_step(state, find_preset("behemoth-mini").config, DType::kBF16);
}
void mini_of_512(benchmark::State& state) { decode_step(state, width_512(), DType::kBF16); }
void hollow_mini(benchmark::State& state) {
  decode_step(state, hollow(find_preset("scout-mini").config), DType::kBF16);
}
void one_scout_layer(benchmark::State& state) { decode_step(state, scout_layer(), DType::kBF16); }
void hollow_layer(benchmark::State& state) {
  decode_step(state, hollow(scout_layer()), DType::kBF16);
}

BENCHMARK(mini)->Arg(1)->Arg(2)->UseRealTime();
BENCHMARK(mini_of_320)->Arg(1)->Arg(2)->UseRealTime();
BENCHMARK(mini_of_512)->Arg(1)->Arg(2)->UseRealTime();
BENCHMARK(hollow_mini)->Arg(1)->Arg(2)->UseRealTime();
BENCHMARK(one_scout_layer)->Arg(1)->Arg(2)->UseRealTime();
BENCHMARK(hollow_layer)->Arg(1)->Arg(2)->UseRealTime();

}  // namespace
}  // namespace corral::model
