#include <benchmark/benchmark.h>

#include "autograd/tape.h"
#include "ops/rms_norm/rms_norm.h"
#include "support/tensors.h"

namespace corral::ops {
namespace {

// Rows x width: one decode token of Scout, a training step of the mini model (hidden size, and the
// heads of the QK norm), a prefill chunk of Scout.
void shapes(benchmark::internal::Benchmark* b) {
  b->Args({1, 5120})->Args({16384, 160})->Args({81920, 32})->Args({2048, 5120})->UseRealTime();
}

void rms_norm_forward(benchmark::State& state) {
  const DevicePtr device = test::test_device();
  const Tensor x = test::randn({state.range(0), state.range(1)}, 1, device);
  const Tensor w = test::randn({state.range(1)}, 2, device);
  for (auto _ : state) benchmark::DoNotOptimize(rms_norm(x, &w, 1e-5f));
  state.SetBytesProcessed(state.iterations() * 2 * x.size_bytes());
}
BENCHMARK(rms_norm_forward)->Apply(shapes);

void rms_norm_step(benchmark::State& state) {
  const DevicePtr device = test::test_device();
  const Tensor x = autograd::parameter(test::randn({state.range(0), state.range(1)}, 1, device));
  const Tensor w = autograd::parameter(test::randn({state.range(1)}, 2, device));
  const Tensor dy = test::randn({state.range(0), state.range(1)}, 3, device);
  for (auto _ : state) {
    autograd::backward(rms_norm(x, &w, 1e-5f), dy);
    autograd::clear_gradient(x);
    autograd::clear_gradient(w);
  }
  // Forward reads 1 and writes 1, backward reads 2 and writes 1.
  state.SetBytesProcessed(state.iterations() * 5 * x.size_bytes());
}
BENCHMARK(rms_norm_step)->Apply(shapes);

}  // namespace
}  // namespace corral::ops
