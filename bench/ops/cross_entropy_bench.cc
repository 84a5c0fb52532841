#include <benchmark/benchmark.h>

#include <vector>

#include "autograd/tape.h"
#include "ops/cross_entropy/cross_entropy.h"
#include "support/tensors.h"

namespace corral::ops {
namespace {

std::vector<int32_t> some_targets(int64_t T, int64_t V) {
  std::vector<int32_t> targets;
  for (int64_t t = 0; t < T; ++t) targets.push_back(static_cast<int32_t>(t * 7919 % V));
  return targets;
}

// Tokens x hidden size x vocabulary of a training step of the mini model; bf16 or f32. The counter
// is operations of the matrix products alone, so that its share of the peak shows what the rest
// costs.
void cross_entropy_step(benchmark::State& state) {
  const DevicePtr device = test::test_device();
  const int64_t T = state.range(0);
  const int64_t D = state.range(1);
  const int64_t V = state.range(2);
  const auto precision = state.range(3) == 1 ? quant::Precision::kBF16 : quant::Precision::kF32;
  const Tensor hidden = autograd::parameter(test::randn({T, D}, 1, device));
  const Tensor readout = autograd::parameter(test::randn({V, D}, 2, device));
  const std::vector<int32_t> targets = some_targets(T, V);
  for (auto _ : state) {
    const CrossEntropy ce = cross_entropy(hidden, quant::LinearWeight::out_in(readout), targets,
                                          static_cast<double>(T), precision);
    autograd::backward(ce.loss);
    autograd::clear_gradient(hidden);
    autograd::clear_gradient(readout);
  }
  state.counters["FLOP/s"] = benchmark::Counter(static_cast<double>(6 * T * D * V),
                                                benchmark::Counter::kIsIterationInvariantRate);
}
BENCHMARK(cross_entropy_step)
    ->Args({16384, 160, 4096, 1})
    ->Args({16384, 160, 4096, 0})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

void token_nll_forward(benchmark::State& state) {
  const DevicePtr device = test::test_device();
  const int64_t T = state.range(0);
  const int64_t D = state.range(1);
  const int64_t V = state.range(2);
  const Tensor hidden = test::randn({T, D}, 1, device);
  const Tensor readout = test::randn({V, D}, 2, device);
  const std::vector<int32_t> targets = some_targets(T, V);
  for (auto _ : state) {
    benchmark::DoNotOptimize(
        token_nll(hidden, quant::LinearWeight::out_in(readout), targets, quant::Precision::kBF16));
  }
  state.counters["FLOP/s"] = benchmark::Counter(static_cast<double>(2 * T * D * V),
                                                benchmark::Counter::kIsIterationInvariantRate);
}
BENCHMARK(token_nll_forward)->Args({4096, 160, 4096})->UseRealTime()->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace corral::ops
