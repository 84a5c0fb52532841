#include <benchmark/benchmark.h>

#include <vector>

#include "autograd/tape.h"
#include "ops/embedding/embedding.h"
#include "support/tensors.h"

namespace corral::ops {
namespace {

std::vector<int32_t> some_tokens(int64_t T, int64_t V) {
  std::vector<int32_t> tokens;
  const Philox random(3);
  for (int64_t t = 0; t < T; ++t) {  // cubed: a few ids are frequent, as in text
    const double u = random.uniform(static_cast<uint64_t>(t));
    tokens.push_back(static_cast<int32_t>(u * u * u * static_cast<double>(V)));
  }
  return tokens;
}

// Tokens x vocabulary x hidden size of a training step of the mini model.
void shapes(benchmark::internal::Benchmark* b) { b->Args({16384, 4096, 160})->UseRealTime(); }

void embedding_forward(benchmark::State& state) {
  const DevicePtr device = test::test_device();
  const Tensor table = test::randn({state.range(1), state.range(2)}, 1, device);
  const std::vector<int32_t> tokens = some_tokens(state.range(0), state.range(1));
  for (auto _ : state) benchmark::DoNotOptimize(embedding(tokens, table));
  state.SetBytesProcessed(state.iterations() * 2 * 4 * state.range(0) * state.range(2));
}
BENCHMARK(embedding_forward)->Apply(shapes);

void embedding_step(benchmark::State& state) {
  const DevicePtr device = test::test_device();
  const Tensor table =
      autograd::parameter(test::randn({state.range(1), state.range(2)}, 1, device));
  const std::vector<int32_t> tokens = some_tokens(state.range(0), state.range(1));
  const Tensor dy = test::randn({state.range(0), state.range(2)}, 3, device);
  for (auto _ : state) {
    autograd::backward(embedding(tokens, table), dy);
    autograd::clear_gradient(table);
  }
  // Forward reads 1 and writes 1, backward reads dy and updates a row for each token.
  state.SetBytesProcessed(state.iterations() * 5 * 4 * state.range(0) * state.range(2));
}
BENCHMARK(embedding_step)->Apply(shapes);

}  // namespace
}  // namespace corral::ops
