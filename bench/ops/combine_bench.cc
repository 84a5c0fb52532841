#include <benchmark/benchmark.h>

#include "autograd/tape.h"
#include "ops/combine/combine.h"
#include "support/tensors.h"

namespace corral::ops {
namespace {

// Tokens x hidden size x experts: a training step of the mini model, a prefill chunk of Scout.
void combine_step(benchmark::State& state) {
  const DevicePtr device = test::test_device();
  const Routing routing = route_top_k(test::randn({state.range(0), state.range(2)}, 2, device), 1);
  const Tensor rows = autograd::parameter(test::randn({routing.rows(), state.range(1)}, 1, device));
  const Tensor shared =
      autograd::parameter(test::randn({state.range(0), state.range(1)}, 3, device));
  const Tensor dy = test::randn({state.range(0), state.range(1)}, 4, device);
  for (auto _ : state) {
    autograd::backward(combine(shared, rows, routing), dy);
    autograd::clear_gradient(rows);
    autograd::clear_gradient(shared);
  }
  state.SetBytesProcessed(state.iterations() * 6 * rows.size_bytes());
}
BENCHMARK(combine_step)->Args({16384, 160, 16})->Args({2048, 5120, 16})->UseRealTime();

}  // namespace
}  // namespace corral::ops
