#include <benchmark/benchmark.h>

#include "autograd/tape.h"
#include "ops/layer_norm/layer_norm.h"
#include "support/tensors.h"

namespace corral::ops {
namespace {

// Rows x width: one tile of Llama 4's image tower (576 patches and the class token).
void layer_norm_forward(benchmark::State& state) {
  const DevicePtr device = test::test_device();
  const Tensor x = test::randn({state.range(0), state.range(1)}, 1, device);
  const Tensor w = test::randn({state.range(1)}, 2, device);
  const Tensor b = test::randn({state.range(1)}, 3, device);
  for (auto _ : state) benchmark::DoNotOptimize(layer_norm(x, w, b, 1e-5f));
  state.SetBytesProcessed(state.iterations() * 2 * x.size_bytes());
}
BENCHMARK(layer_norm_forward)->Args({577, 1408})->UseRealTime();

void layer_norm_step(benchmark::State& state) {
  const DevicePtr device = test::test_device();
  const Tensor x = autograd::parameter(test::randn({state.range(0), state.range(1)}, 1, device));
  const Tensor w = autograd::parameter(test::randn({state.range(1)}, 2, device));
  const Tensor b = autograd::parameter(test::randn({state.range(1)}, 3, device));
  const Tensor dy = test::randn({state.range(0), state.range(1)}, 4, device);
  for (auto _ : state) {
    autograd::backward(layer_norm(x, w, b, 1e-5f), dy);
    for (const Tensor& leaf : {x, w, b}) autograd::clear_gradient(leaf);
  }
  // Forward reads 1 and writes 1, backward reads 4 and writes 1.
  state.SetBytesProcessed(state.iterations() * 7 * x.size_bytes());
}
BENCHMARK(layer_norm_step)->Args({577, 1408})->UseRealTime();

}  // namespace
}  // namespace corral::ops
