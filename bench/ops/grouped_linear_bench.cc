#include <benchmark/benchmark.h>

#include <vector>

#include "autograd/tape.h"
#include "ops/grouped_linear/grouped_linear.h"
#include "support/tensors.h"

namespace corral::ops {
namespace {

constexpr int64_t kExperts = 16;

// Rows of the experts as a router fills them: some get twice the even share, some little.
std::vector<int64_t> uneven_offsets(int64_t rows) {
  std::vector<int64_t> offsets = {0};
  for (int64_t e = 0; e < kExperts; ++e) {
    offsets.push_back(rows * (e + 1) * (e + 2) / (kExperts * (kExperts + 1)));
  }
  return offsets;
}

// Rows x outputs x inputs: a decoded token, a prompt and a training micro-batch of scout-mini.
void shapes(benchmark::internal::Benchmark* b) {
  b->Args({1, 256, 160})->Args({512, 256, 160})->Args({8192, 256, 160});
}

void report(benchmark::State& state, double products) {
  const double work = 2.0 * static_cast<double>(state.range(0)) *
                      static_cast<double>(state.range(1)) * static_cast<double>(state.range(2));
  state.counters["FLOP/s"] = benchmark::Counter(
      static_cast<double>(state.iterations()) * products * work, benchmark::Counter::kIsRate);
}

void grouped_linear_forward(benchmark::State& state) {
  const DevicePtr device = Device::cpu();
  const Tensor x = test::copy_to(test::randn({state.range(0), state.range(2)}, 1), device);
  const Tensor w =
      test::copy_to(test::randn({kExperts, state.range(1), state.range(2)}, 2), device);
  const auto weight = quant::LinearWeight::out_in(w);
  const auto offsets = uneven_offsets(state.range(0));
  for (auto _ : state) {
    benchmark::DoNotOptimize(grouped_linear(x, weight, offsets, quant::Precision::kBF16));
  }
  report(state, 1);
}
BENCHMARK(grouped_linear_forward)->Apply(shapes)->UseRealTime();

void grouped_linear_step(benchmark::State& state) {
  const DevicePtr device = Device::cpu();
  const Tensor x =
      autograd::parameter(test::copy_to(test::randn({state.range(0), state.range(2)}, 1), device));
  const Tensor w = autograd::parameter(
      test::copy_to(test::randn({kExperts, state.range(1), state.range(2)}, 2), device));
  const Tensor dy = test::copy_to(test::randn({state.range(0), state.range(1)}, 3), device);
  const auto weight = quant::LinearWeight::out_in(w);
  const auto offsets = uneven_offsets(state.range(0));
  for (auto _ : state) {
    autograd::backward(grouped_linear(x, weight, offsets, quant::Precision::kBF16), dy);
  }
  report(state, 3);
}
BENCHMARK(grouped_linear_step)->Apply(shapes)->UseRealTime();

}  // namespace
}  // namespace corral::ops
