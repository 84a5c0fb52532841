#include <benchmark/benchmark.h>

#include "ops/add_bias/add_bias.h"
#include "support/tensors.h"

namespace corral::ops {
namespace {

// Rows x MLP width of one tile of Llama 4's image tower.
void add_bias_forward(benchmark::State& state) {
  const DevicePtr device = test::test_device();
  const Tensor x = test::randn({state.range(0), state.range(1)}, 1, device);
  const Tensor b = test::randn({state.range(1)}, 2, device);
  for (auto _ : state) benchmark::DoNotOptimize(add_bias(x, b));
  state.SetBytesProcessed(state.iterations() * 2 * x.size_bytes());
}
BENCHMARK(add_bias_forward)->Args({577, 5632})->UseRealTime();

}  // namespace
}  // namespace corral::ops
