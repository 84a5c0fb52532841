// Temperature of a training step's queries and of a decode step; bytes read and written.

#include <benchmark/benchmark.h>

#include "ops/attention_temperature/attention_temperature.h"
#include "support/tensors.h"

namespace corral::ops {
namespace {

void temperature(benchmark::State& state) {
  const int64_t T = state.range(0);
  const int64_t H = state.range(1);
  const int64_t C = state.range(2);
  const Tensor q = test::randn({T, H, C}, 1);
  std::vector<int64_t> positions;
  for (int64_t t = 0; t < T; ++t) positions.push_back(200 + t % 700);
  for (auto _ : state) benchmark::DoNotOptimize(attention_temperature(q, positions, 0.1f, 128));
  state.SetBytesProcessed(state.iterations() * 2 * q.size_bytes());
}
BENCHMARK(temperature)
    ->ArgNames({"tokens", "heads", "head_size"})
    ->Args({1, 5, 32})
    ->Args({16384, 5, 32})
    ->Args({2048, 40, 128})
    ->Unit(benchmark::kMicrosecond)
    ->UseRealTime();

}  // namespace
}  // namespace corral::ops
