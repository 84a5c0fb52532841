#include <benchmark/benchmark.h>

#include "ops/route/route.h"
#include "support/tensors.h"

namespace corral::ops {
namespace {

// Tokens x experts x experts a token: a training step of the mini model, Maverick's 128 experts.
void shapes(benchmark::internal::Benchmark* b) {
  b->Args({16384, 16, 1})->Args({2048, 128, 1})->UseRealTime();
}

void route(benchmark::State& state) {
  const Tensor logits = test::randn({state.range(0), state.range(1)}, 1);
  for (auto _ : state) benchmark::DoNotOptimize(route_top_k(logits, state.range(2)));
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(route)->Apply(shapes);

}  // namespace
}  // namespace corral::ops
