// Attention of a training step (16384 rows of packed documents, five query heads on one of 32
// channels) and of decoding. FLOP counts only keys that are seen: 4 C a key, query and head
// forward, 10 C backward (five products of tiles).

#include <benchmark/benchmark.h>

#include <array>
#include <cmath>

#include "autograd/tape.h"
#include "base/random.h"
#include "ops/attention/attention.h"
#include "ops/attention/paged_attention.h"
#include "ops/machine_peak.h"
#include "support/tensors.h"

namespace corral::ops {
namespace {

/// `operations` of every iteration, and their share of a ceiling.
void count(benchmark::State& state, double operations, bench::Ceiling ceiling, int threads) {
  using benchmark::Counter;
  state.counters["FLOP/s"] = Counter(operations, Counter::kIsIterationInvariantRate);
  state.counters["of_peak"] =
      Counter(operations / bench::ceiling(ceiling, threads), Counter::kIsIterationInvariantRate);
}

// Of attention to keys and values of this type.
bench::Ceiling peak_of(DType type) {
  return type == DType::kBF16 ? bench::Ceiling::kBF16 : bench::Ceiling::kF32;
}

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
  count(state, 4 * kHeadSize * kHeads * training.pairs, bench::Ceiling::kF32,
        static_cast<int>(state.range(1)));
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
  count(state, 10 * kHeadSize * kHeads * training.pairs, bench::Ceiling::kF32,
        static_cast<int>(state.range(1)));
}
BENCHMARK(training_backward)
    ->ArgNames({"chunk", "threads"})
    ->ArgsProduct({{128, 0}, {1, 2}})
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

constexpr std::array kKvTypes = {DType::kF32, DType::kBF16, DType::kQ8_0, DType::kQ4_0};

/// Sequences that hold `context` tokens in one global layer, and a batch of `count` more of each.
struct Cached {
  Cached(int64_t sequences, int64_t context, int64_t count, int64_t K, int64_t C, DType type,
         const DevicePtr& device)
      : cache(layout(K, C, type), device, int64_t{16} << 30) {
    for (int64_t i = 0; i < sequences; ++i) {
      const int64_t sequence = cache.create();
      // Prepared without a product: pages of zeros cost the same to read.
      kv::Batch prompt;
      prompt.append(std::vector<int32_t>(static_cast<size_t>(context)), 0, sequence);
      cache.prepare(prompt);
      cache.commit(prompt);
      batch.append(std::vector<int32_t>(static_cast<size_t>(count)), context, sequence);
    }
    cache.prepare(batch);
  }
  static kv::KvLayout layout(int64_t K, int64_t C, DType type) {
    kv::KvLayout layout;
    layout.chunk_sizes = {0};
    layout.kv_heads = K;
    layout.head_dim = C;
    layout.types = {type, type};
    return layout;
  }

  kv::KvCache cache;
  kv::Batch batch;
};

// 512 tokens of a prompt behind `context` others.
void prefill(benchmark::State& state) {
  const int64_t context = state.range(0);
  const int64_t group = state.range(1);
  const DType type = kKvTypes[static_cast<size_t>(state.range(2))];
  const int threads = static_cast<int>(state.range(3));
  constexpr int64_t kCount = 512;
  constexpr int64_t K = 2;
  constexpr int64_t C = 128;
  const DevicePtr device = test::test_device(simd::detect_isa(), threads);
  const Cached cached(1, context, kCount, K, C, type, device);
  const Tensor q = test::randn({kCount, group * K, C}, 1, device);
  const Tensor k = test::randn({kCount, K, C}, 2, device);
  for (auto _ : state) {
    benchmark::DoNotOptimize(
        paged_attention(q, k, k, cached.cache.layer(0), cached.batch, {}, 0.09f));
  }
  const double pairs = static_cast<double>(kCount * context + kCount * (kCount + 1) / 2);
  const double operations = 4.0 * static_cast<double>(C * group * K) * pairs;
  count(state, operations, peak_of(type), threads);
}
BENCHMARK(prefill)
    ->ArgNames({"context", "group", "type", "threads"})
    ->ArgsProduct({{0, 8192}, {2, 5}, {0, 1, 2, 3}, {1, 2}})
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

// One token each of `sequences` sequences that hold `context` tokens, 5 queries on a key: the bytes
// of pages that are read, and the operations on them.
void decode(benchmark::State& state) {
  const int64_t sequences = state.range(0);
  const int64_t context = state.range(1);
  const int64_t K = state.range(2);
  const int64_t C = state.range(3);
  const DType type = kKvTypes[static_cast<size_t>(state.range(4))];
  const DevicePtr device = test::test_device();
  const Cached cached(sequences, context, 1, K, C, type, device);
  const Tensor q = test::randn({sequences, 5 * K, C}, 1, device);
  const Tensor k = test::randn({sequences, K, C}, 2, device);
  const int threads = device->threads().size();
  const double read = bench::read_now(threads);
  for (auto _ : state) {
    benchmark::DoNotOptimize(
        paged_attention(q, k, k, cached.cache.layer(0), cached.batch, {}, 0.1f));
  }
  const int64_t tiles = sequences * K * context / kv::kTileTokens;
  const int64_t bytes = tiles * (kv::key_tile_bytes(type, C) + kv::value_tile_bytes(type, C));
  state.SetBytesProcessed(state.iterations() * bytes);
  using benchmark::Counter;
  state.counters["of_read"] =
      Counter(static_cast<double>(bytes) / read, Counter::kIsIterationInvariantRate);
  count(state, 4.0 * static_cast<double>(C * 5 * K * context * sequences), peak_of(type), threads);
}
BENCHMARK(decode)
    ->ArgNames({"sequences", "context", "kv_heads", "head_size", "type"})
    ->Args({1, 128, 1, 32, 0})
    ->ArgsProduct({{1}, {4096, 65536}, {8}, {128}, {0, 1, 2, 3}})
    ->Args({16, 4096, 8, 128, 0})
    ->Unit(benchmark::kMicrosecond)
    ->UseRealTime();

}  // namespace
}  // namespace corral::ops
