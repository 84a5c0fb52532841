#include <benchmark/benchmark.h>

#include "model/vision/vision_tower.h"
#include "ops/machine_peak.h"
#include "support/tensors.h"

namespace corral::model {
namespace {

// The tower of Scout and Maverick.
VisionConfig real_tower() {
  VisionConfig c;
  c.hidden_size = 1408;
  c.image_size = 336;
  c.vision_output_dim = 4096;
  c.text_hidden_size = 5120;
  return c;
}

// Operations of one tile: two for each weight and row it meets, four a score and channel.
double operations(const VisionConfig& c) {
  const auto D = static_cast<double>(c.hidden_size);
  const auto F = static_cast<double>(c.intermediate_size);
  const auto J = static_cast<double>(c.projector_input_dim);
  const auto patches = static_cast<double>(c.patches());
  const double rows = patches + 1;
  const double block = 2 * rows * (4 * D * D + 2 * D * F) + 4 * rows * rows * D;
  const double vectors = static_cast<double>(c.vectors_per_tile());
  return 2 * patches * D * static_cast<double>(3 * c.patch_size * c.patch_size) +
         static_cast<double>(c.num_hidden_layers) * block +
         2 * vectors * J * (F + J + static_cast<double>(c.text_hidden_size));
}

// Made once: a billion random numbers take longer than the tiles.
const std::vector<Tensor>& weights(const VisionConfig& config) {
  static const std::vector<Tensor> made = [&config] {
    std::vector<Tensor> tensors = initialise_vision(config, 1, Device::cpu());
    for (Tensor& tensor : tensors) {
      if (tensor.rank() == 2) tensor = test::to_dtype(tensor, DType::kBF16);
    }
    return tensors;
  }();
  return made;
}

// One tile after another through the whole tower; bf16 weights as the checkpoints have them. The
// share is of the peak of the product's instruction with as many threads; attention is f32.
void encode_tile(benchmark::State& state, quant::Precision precision) {
  const auto threads = static_cast<int>(state.range(0));
  const DevicePtr device = Device::cpu({.threads = threads});
  const VisionConfig config = real_tower();
  size_t next = 0;
  const std::vector<Tensor>& tensors = weights(config);
  const VisionTower tower(config, arrange_vision_weights(config, [&](const VisionParameterInfo&) {
                            return tensors[next++];
                          }));
  const Tensor tile = test::randn({1, 3, config.image_size, config.image_size}, 2, device);
  for (auto _ : state) benchmark::DoNotOptimize(tower.encode(tile, {.precision = precision}));
  const double done = static_cast<double>(state.iterations()) * operations(config);
  const auto what =
      precision == quant::Precision::kBF16 ? bench::Ceiling::kBF16 : bench::Ceiling::kF32;
  state.counters["FLOP/s"] = benchmark::Counter(done, benchmark::Counter::kIsRate);
  state.counters["of_peak"] =
      benchmark::Counter(done / bench::ceiling(what, threads), benchmark::Counter::kIsRate);
}
BENCHMARK_CAPTURE(encode_tile, bf16, quant::Precision::kBF16)
    ->ArgName("threads")
    ->Arg(1)
    ->Arg(2)
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();
BENCHMARK_CAPTURE(encode_tile, f32, quant::Precision::kF32)
    ->ArgName("threads")
    ->Arg(1)
    ->Arg(2)
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

}  // namespace
}  // namespace corral::model
