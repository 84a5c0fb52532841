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
  const auto routing = std::make_shared<const Routing>(
      route_top_k(test::randn({state.range(0), state.range(2)}, 2, device), 1));
  const Tensor scores = test::randn({routing->rows()}, 3, device);
  for (auto _ : state) benchmark::DoNotOptimize(dispatch(x, scores, routing));
  state.SetBytesProcessed(state.iterations() * 2 * x.size_bytes());
}
BENCHMARK(dispatch_forward)->Apply(shapes);

void dispatch_step(benchmark::State& state) {
  const DevicePtr device = test::test_device();
  const Tensor x = autograd::parameter(test::randn({state.range(0), state.range(1)}, 1, device));
  const auto routing = std::make_shared<const Routing>(
      route_top_k(test::randn({state.range(0), state.range(2)}, 2, device), 1));
  const Tensor scores = autograd::parameter(test::randn({routing->rows()}, 3, device));
  const Tensor dy = test::randn({routing->rows(), state.range(1)}, 4, device);
  for (auto _ : state) {
    autograd::backward(dispatch(x, scores, routing), dy);
    autograd::clear_gradient(x);
    autograd::clear_gradient(scores);
  }
  // Forward reads 1 and writes 1, backward reads 2 and writes 1.
  state.SetBytesProcessed(state.iterations() * 5 * x.size_bytes());
}
BENCHMARK(dispatch_step)->Apply(shapes);

}  // namespace
}  // namespace corral::ops
