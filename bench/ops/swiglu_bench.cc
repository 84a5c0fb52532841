#include <benchmark/benchmark.h>

#include "ops/swiglu/swiglu.h"
#include "support/blocks.h"
#include "support/tensors.h"

namespace corral::ops {
namespace {

// Tokens x inputs x outputs: a decode step and a prompt of Scout's shared expert, Q4_0.
void swiglu_forward(benchmark::State& state) {
  const int64_t K = state.range(1);
  const int64_t F = state.range(2);
  const auto weight = [&](uint64_t seed) {
    return quant::LinearWeight::out_in(test::random_blocks({F, K}, DType::kQ4_0, seed));
  };
  const quant::LinearWeight gate = weight(1);
  const quant::LinearWeight up = weight(2);
  const Tensor x = test::randn({state.range(0), K}, 3);
  for (auto _ : state) {
    benchmark::DoNotOptimize(swiglu(x, gate, up, quant::Precision::kF32));
  }
  state.counters["OP/s"] =
      benchmark::Counter(static_cast<double>(state.iterations() * state.range(0) * 4 * K * F),
                         benchmark::Counter::kIsRate);
}
BENCHMARK(swiglu_forward)->Args({1, 5120, 8192})->Args({512, 5120, 8192})->UseRealTime();

}  // namespace
}  // namespace corral::ops
