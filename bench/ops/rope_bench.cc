// Rotation of a training step's queries (16384 rows) and of a decode step; bytes read and written.

#include <benchmark/benchmark.h>

#include "ops/rope/rope.h"
#include "support/tensors.h"

namespace corral::ops {
namespace {

void rotate(benchmark::State& state) {
  const int64_t T = state.range(0);
  const int64_t H = state.range(1);
  const int64_t C = state.range(2);
  const DevicePtr device = test::test_device();
  const RopeFrequencies f = rope_frequencies(C, 500000);
  const Tensor x = test::randn({T, H, C}, 1, device);
  std::vector<int64_t> positions;
  for (int64_t t = 0; t < T; ++t) positions.push_back(t % 700);
  for (auto _ : state) benchmark::DoNotOptimize(rope(x, positions, f, 8192));
  state.SetBytesProcessed(state.iterations() * 2 * x.size_bytes());
}
BENCHMARK(rotate)
    ->ArgNames({"tokens", "heads", "head_size"})
    ->Args({1, 5, 32})
    ->Args({16384, 5, 32})
    ->Args({1, 40, 128})
    ->Args({2048, 40, 128})
    ->Unit(benchmark::kMicrosecond)
    ->UseRealTime();

}  // namespace
}  // namespace corral::ops
