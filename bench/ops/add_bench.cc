#include <benchmark/benchmark.h>

#include "ops/add/add.h"
#include "support/tensors.h"

namespace corral::ops {
namespace {

// Rows x hidden size: one decode token of Scout, a training step of the mini model, a prefill chunk
// of Scout.
void add_forward(benchmark::State& state) {
  const DevicePtr device = test::test_device();
  const Tensor a = test::randn({state.range(0), state.range(1)}, 1, device);
  const Tensor b = test::randn({state.range(0), state.range(1)}, 2, device);
  for (auto _ : state) benchmark::DoNotOptimize(add(a, b));
  state.SetBytesProcessed(state.iterations() * 3 * a.size_bytes());
}
BENCHMARK(add_forward)->Args({1, 5120})->Args({16384, 160})->Args({2048, 5120})->UseRealTime();

}  // namespace
}  // namespace corral::ops
