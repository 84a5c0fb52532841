// Attention of a training step (16384 rows of packed documents, five query heads on one of 32
// channels) and of decoding. FLOP counts only keys that are seen: 4 C a key, query and head
// forward, 10 C backward (five products of tiles).

#include <benchmark/benchmark.h>

#include <cmath>

#include "autograd/tape.h"
#include "base/random.h"
#include "ops/attention/attention.h"
#include "ops/attention/paged_attention.h"
#include "support/tensors.h"

namespace corral::ops {
namespace {

struct Training {
  kv::Batch batch;
  kv::AttentionSpan span;
  double pairs = 0;  // of query and key, for one head
};

// Documents of 100 to 1000 tokens.
Training packed_documents(int64_t T, int64_t chunk_size) {
  Training training = {.batch = {}, .span = {chunk_size}, .pairs = 0};
  const Philox random(7);
  for (uint64_t i = 0; training.batch.size() < T; ++i) {
    const auto length = std::min<int64_t>(100 + static_cast<int64_t>(random.below(901, i)),
                                          T - training.batch.size());
    training.batch.append(std::vector<int32_t>(static_cast<size_t>(length)), 0);
  }
  for (const int64_t position : training.batch.positions) {
    training.pairs += static_cast<double>(position - training.span.first_visible(position) + 1);
  }
  return training;
}

constexpr int64_t kT = 16384;
constexpr int64_t kHeads = 5;
constexpr int64_t kHeadSize = 32;

void training_forward(benchmark::State& state) {
  const DevicePtr device = test::test_device(simd::detect_isa(), static_cast<int>(state.range(1)));
  const Training training = packed_documents(kT, state.range(0));
  const Tensor q = test::randn({kT, kHeads, kHeadSize}, 1, device);
  const Tensor k = test::randn({kT, 1, kHeadSize}, 2, device);
  const Tensor v = test::randn({kT, 1, kHeadSize}, 3, device);
  for (auto _ : state) {
    benchmark::DoNotOptimize(attention(q, k, v, training.batch, training.span, 0.17f));
  }
  state.counters["FLOP/s"] = benchmark::Counter(4 * kHeadSize * kHeads * training.pairs,
                                                benchmark::Counter::kIsIterationInvariantRate);
}
BENCHMARK(training_forward)
    ->ArgNames({"chunk", "threads"})
    ->ArgsProduct({{128, 0}, {1, 2}})
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

void training_backward(benchmark::State& state) {
  const DevicePtr device = test::test_device(simd::detect_isa(), static_cast<int>(state.range(1)));
  const Training training = packed_documents(kT, state.range(0));
  const Tensor q = test::randn({kT, kHeads, kHeadSize}, 1, device);
  const Tensor k = test::randn({kT, 1, kHeadSize}, 2, device);
  const Tensor v = test::randn({kT, 1, kHeadSize}, 3, device);
  const Tensor dout = test::randn({kT, kHeads, kHeadSize}, 4, device);
  for (auto _ : state) {
    state.PauseTiming();
    const Tensor out = attention(autograd::parameter(q), autograd::parameter(k),
                                 autograd::parameter(v), training.batch, training.span, 0.17f);
    state.ResumeTiming();
    autograd::backward(out, dout);
  }
  state.counters["FLOP/s"] = benchmark::Counter(10 * kHeadSize * kHeads * training.pairs,
                                                benchmark::Counter::kIsIterationInvariantRate);
}
BENCHMARK(training_backward)
    ->ArgNames({"chunk", "threads"})
    ->ArgsProduct({{128, 0}, {1, 2}})
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

// One token each of `sequences` sequences that hold `context` tokens; bytes of pages read.
void decode(benchmark::State& state) {
  const int64_t sequences = state.range(0);
  const int64_t context = state.range(1);
  const int64_t K = state.range(2);
  const int64_t C = state.range(3);
  const DType dtype = state.range(4) != 0 ? DType::kBF16 : DType::kF32;
  const DevicePtr device = test::test_device();
  kv::KvLayout layout;
  layout.chunk_sizes = {0};
  layout.kv_heads = K;
  layout.head_dim = C;
  layout.dtype = dtype;
  kv::KvCache cache(layout, device, int64_t{4} << 30);
  kv::Batch prompt;
  kv::Batch step;
  for (int64_t i = 0; i < sequences; ++i) {
    const int64_t sequence = cache.create();
    prompt.append(std::vector<int32_t>(static_cast<size_t>(context)), 0, sequence);
    step.append(std::vector<int32_t>(1), context, sequence);
  }
  cache.prepare(prompt);
  cache.commit(prompt);
  cache.prepare(step);
  const Tensor q = test::randn({sequences, 5 * K, C}, 1, device);
  const Tensor k = test::randn({sequences, K, C}, 2, device);
  for (auto _ : state) {
    benchmark::DoNotOptimize(paged_attention(q, k, k, cache.layer(0), step, {}, 0.1f));
  }
  state.SetBytesProcessed(state.iterations() * sequences * context * 2 * bytes_of(dtype, K * C));
}
BENCHMARK(decode)
    ->ArgNames({"sequences", "context", "kv_heads", "head_size", "bf16"})
    ->Args({1, 128, 1, 32, 0})
    ->Args({1, 4096, 1, 32, 0})
    ->Args({1, 4096, 8, 128, 0})
    ->Args({1, 4096, 8, 128, 1})
    ->Args({16, 4096, 8, 128, 0})
    ->Unit(benchmark::kMicrosecond)
    ->UseRealTime();

}  // namespace
}  // namespace corral::ops
