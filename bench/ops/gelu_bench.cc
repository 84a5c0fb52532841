#include <benchmark/benchmark.h>

#include "ops/gelu/gelu.h"
#include "support/tensors.h"

namespace corral::ops {
namespace {

// Rows x MLP width of one tile of Llama 4's image tower.
void gelu_forward(benchmark::State& state) {
  const DevicePtr device = test::test_device();
  const Tensor x = test::randn({state.range(0), state.range(1)}, 1, device);
  for (auto _ : state) benchmark::DoNotOptimize(gelu(x));
  state.SetBytesProcessed(state.iterations() * 2 * x.size_bytes());
}
BENCHMARK(gelu_forward)->Args({577, 5632})->UseRealTime();

}  // namespace
}  // namespace corral::ops
