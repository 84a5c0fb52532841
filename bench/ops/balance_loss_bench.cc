#include <benchmark/benchmark.h>

#include <vector>

#include "autograd/tape.h"
#include "ops/balance_loss/balance_loss.h"
#include "support/tensors.h"

namespace corral::ops {
namespace {

// Tokens x experts of a training step of the mini models.
void balance_loss_step(benchmark::State& state) {
  const DevicePtr device = test::test_device();
  const Tensor logits =
      autograd::parameter(test::randn({state.range(0), state.range(1)}, 1, device));
  const Tensor dy = test::randn({state.range(0), state.range(1)}, 2, device);
  const std::vector<double> load(static_cast<size_t>(state.range(1)),
                                 1.0 / static_cast<double>(state.range(1)));
  for (auto _ : state) {
    autograd::backward(balance_loss(logits, load, 1e-3, state.range(0)), dy);
    autograd::clear_gradient(logits);
  }
  state.SetBytesProcessed(state.iterations() * 3 * logits.size_bytes());
}
BENCHMARK(balance_loss_step)->Args({16384, 16})->Args({16384, 128})->UseRealTime();

}  // namespace
}  // namespace corral::ops
