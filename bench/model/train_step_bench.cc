#include <benchmark/benchmark.h>

#include "autograd/tape.h"
#include "model/initialise.h"
#include "model/presets.h"
#include "model/text_model.h"
#include "ops/cross_entropy/cross_entropy.h"

namespace corral::model {
namespace {

constexpr int64_t kDocument = 512;  // four chunks of the miniatures

// Forward and backward of one micro-batch; the optimizer has a benchmark of its own.
void train_step(benchmark::State& state, const char* preset) {
  const DevicePtr device = Device::cpu();
  const Config config = find_preset(preset).config;
  const TextModel model = TextModel::trainable(config, initialise(config, 1, device));
  const int64_t T = state.range(0);
  kv::Batch batch;
  std::vector<int32_t> targets;
  for (int64_t begin = 0; begin < T; begin += kDocument) {
    std::vector<int32_t> tokens;
    for (int64_t i = 0; i < kDocument; ++i) {
      tokens.push_back(
          static_cast<int32_t>((begin * 131 + i * i * 7 + i * 29) % config.vocab_size));
    }
    batch.append(tokens, 0);
    targets.insert(targets.end(), tokens.begin(), tokens.end());
  }
  ForwardOptions options;
  options.precision = quant::Precision::kBF16;
  for (auto _ : state) {
    const auto result = ops::cross_entropy(model.hidden(batch, options), model.weights().readout,
                                           targets, static_cast<double>(T), options.precision);
    autograd::backward(result.loss);
  }
  const double flop = 6.0 * static_cast<double>(count_parameters(config).active -
                                                config.vocab_size * config.hidden_size);
  const auto tokens = static_cast<double>(state.iterations() * T);
  state.counters["tokens/s"] = benchmark::Counter(tokens, benchmark::Counter::kIsRate);
  state.counters["FLOP/s"] = benchmark::Counter(tokens * flop, benchmark::Counter::kIsRate);
}
BENCHMARK_CAPTURE(train_step, scout_mini, "scout-mini")
    ->Arg(4096)
    ->Arg(16384)
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();
BENCHMARK_CAPTURE(train_step, behemoth_mini, "behemoth-mini")
    ->Arg(4096)
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

}  // namespace
}  // namespace corral::model
