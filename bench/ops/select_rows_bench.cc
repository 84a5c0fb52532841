#include <benchmark/benchmark.h>

#include "ops/select_rows/select_rows.h"
#include "support/tensors.h"

namespace corral::ops {
namespace {

// The pixel shuffle of one tile of Llama 4's image tower: every patch once, in another order.
void select_rows_forward(benchmark::State& state) {
  const DevicePtr device = test::test_device();
  const Tensor x = test::randn({state.range(0), state.range(1)}, 1, device);
  std::vector<int64_t> rows;
  for (int64_t i = 0; i < state.range(0); ++i) rows.push_back(i * 7 % state.range(0));
  for (auto _ : state) benchmark::DoNotOptimize(select_rows(x, {}, rows));
  state.SetBytesProcessed(state.iterations() * 2 * x.size_bytes());
}
BENCHMARK(select_rows_forward)->Args({576, 1408})->UseRealTime();

}  // namespace
}  // namespace corral::ops
