#include <benchmark/benchmark.h>

#include "autograd/tape.h"
#include "ops/dispatch/dispatch.h"
#include "support/tensors.h"

namespace corral::ops {
namespace {

// Tokens x hidden size x experts: a training step of the mini model, a prefill chunk of Scout.
void shapes(benchmark::internal::Benchmark* b) {
  b->Args({16384, 160, 16})->Args({2048, 5120, 16})->UseRealTime();
}

void dispatch_forward(benchmark::State& state) {
  const DevicePtr device = test::test_device();
  const Tensor x = test::randn({state.range(0), state.range(1)}, 1, device);
  const Tensor logits = test::randn({state.range(0), state.range(2)}, 2, device);
  const Routing routing = route_top_k(logits, 1);
  for (auto _ : state) benchmark::DoNotOptimize(dispatch(x, logits, routing));
  state.SetBytesProcessed(state.iterations() * 2 * x.size_bytes());
}
BENCHMARK(dispatch_forward)->Apply(shapes);

void dispatch_step(benchmark::State& state) {
  const DevicePtr device = test::test_device();
  const Tensor x = autograd::parameter(test::randn({state.range(0), state.range(1)}, 1, device));
  const Tensor logits =
      autograd::parameter(test::randn({state.range(0), state.range(2)}, 2, device));
  const Routing routing = route_top_k(logits, 1);
  const Tensor dy = test::randn({routing.rows(), state.range(1)}, 4, device);
  for (auto _ : state) {
    autograd::backward(dispatch(x, logits, routing), dy);
    autograd::clear_gradient(x);
    autograd::clear_gradient(logits);
  }
  // Forward reads 1 and writes 1, backward reads 2 and writes 1.
  state.SetBytesProcessed(state.iterations() * 5 * x.size_bytes());
}
BENCHMARK(dispatch_step)->Apply(shapes);

}  // namespace
}  // namespace corral::ops
