#include <benchmark/benchmark.h>

#include "autograd/tape.h"
#include "ops/silu_mul/silu_mul.h"
#include "support/tensors.h"

namespace corral::ops {
namespace {

// Rows x expert width: one decode token of Scout, a training step of the mini model.
void shapes(benchmark::internal::Benchmark* b) {
  b->Args({1, 8192})->Args({16384, 256})->UseRealTime();
}

void silu_mul_forward(benchmark::State& state) {
  const DevicePtr device = test::test_device();
  const Tensor gate = test::randn({state.range(0), state.range(1)}, 1, device);
  const Tensor up = test::randn({state.range(0), state.range(1)}, 2, device);
  for (auto _ : state) benchmark::DoNotOptimize(silu_mul(gate, up));
  state.SetBytesProcessed(state.iterations() * 3 * gate.size_bytes());
}
BENCHMARK(silu_mul_forward)->Apply(shapes);

void silu_mul_step(benchmark::State& state) {
  const DevicePtr device = test::test_device();
  const Tensor gate = autograd::parameter(test::randn({state.range(0), state.range(1)}, 1, device));
  const Tensor up = autograd::parameter(test::randn({state.range(0), state.range(1)}, 2, device));
  const Tensor dy = test::randn({state.range(0), state.range(1)}, 3, device);
  for (auto _ : state) {
    autograd::backward(silu_mul(gate, up), dy);
    autograd::clear_gradient(gate);
    autograd::clear_gradient(up);
  }
  // Forward reads 2 and writes 1, backward reads 3 and writes 2.
  state.SetBytesProcessed(state.iterations() * 8 * gate.size_bytes());
}
BENCHMARK(silu_mul_step)->Apply(shapes);

}  // namespace
}  // namespace corral::ops
