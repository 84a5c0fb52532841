#include <benchmark/benchmark.h>

#include "autograd/tape.h"
#include "ops/linear/linear.h"
#include "quant/q8_0.h"
#include "support/tensors.h"

namespace corral::ops {
namespace {

// Tokens x outputs x inputs: one decoded token and a training micro-batch of scout-mini, one token
// of Scout's attention output.
void shapes(benchmark::internal::Benchmark* b) {
  b->Args({1, 160, 160})->Args({1, 4096, 160})->Args({8192, 256, 160})->Args({1, 5120, 5120});
}

void report(benchmark::State& state, int64_t weight_bytes, double products) {
  const double work = 2.0 * static_cast<double>(state.range(0)) *
                      static_cast<double>(state.range(1)) * static_cast<double>(state.range(2));
  const auto runs = static_cast<double>(state.iterations());
  state.counters["FLOP/s"] =
      benchmark::Counter(runs * products * work, benchmark::Counter::kIsRate);
  state.counters["weight B/s"] =
      benchmark::Counter(runs * static_cast<double>(weight_bytes), benchmark::Counter::kIsRate);
}

void linear_forward(benchmark::State& state, quant::Precision precision) {
  const DevicePtr device = Device::cpu();
  const Tensor x = test::copy_to(test::randn({state.range(0), state.range(2)}, 1), device);
  const Tensor w = test::copy_to(test::randn({state.range(1), state.range(2)}, 2), device);
  const auto weight = quant::LinearWeight::out_in(w);
  for (auto _ : state) benchmark::DoNotOptimize(linear(x, weight, precision));
  report(state, w.size_bytes(), 1);
}
BENCHMARK_CAPTURE(linear_forward, f32, quant::Precision::kF32)->Apply(shapes)->UseRealTime();
BENCHMARK_CAPTURE(linear_forward, bf16, quant::Precision::kBF16)->Apply(shapes)->UseRealTime();

void linear_q8_0(benchmark::State& state) {
  const DevicePtr device = Device::cpu();
  const Tensor x = test::copy_to(test::randn({state.range(0), state.range(2)}, 1), device);
  const Tensor w = test::copy_to(test::randn({state.range(1), state.range(2)}, 2), device);
  Tensor blocks(w.shape(), DType::kQ8_0, device);
  quant::quantize_row_q8_0(w.data<float>(), blocks.mutable_data<std::byte>(), w.numel());
  const auto weight = quant::LinearWeight::out_in(blocks);
  for (auto _ : state) benchmark::DoNotOptimize(linear(x, weight, quant::Precision::kF32));
  report(state, blocks.size_bytes(), 1);
}
BENCHMARK(linear_q8_0)->Apply(shapes)->UseRealTime();

// Forward, and the gradients of input and weight.
void linear_step(benchmark::State& state) {
  const DevicePtr device = Device::cpu();
  const Tensor x =
      autograd::parameter(test::copy_to(test::randn({state.range(0), state.range(2)}, 1), device));
  const Tensor w =
      autograd::parameter(test::copy_to(test::randn({state.range(1), state.range(2)}, 2), device));
  const Tensor dy = test::copy_to(test::randn({state.range(0), state.range(1)}, 3), device);
  const auto weight = quant::LinearWeight::out_in(w);
  for (auto _ : state) autograd::backward(linear(x, weight, quant::Precision::kBF16), dy);
  report(state, w.size_bytes(), 3);
}
BENCHMARK(linear_step)->Args({8192, 160, 160})->Args({8192, 256, 160})->UseRealTime();

}  // namespace
}  // namespace corral::ops
