// Products with weights in blocks, of the shape of an expert of Scout and of that which llama.cpp's
// own benchmark (test-backend-ops perf) has: one row (decode, waits for memory), some rows
// (a batch, an expert's share of a prompt) and 512 (prefill). Counters: bytes of weights or
// operations a second, and their share of what the machine can do at most.

#include <benchmark/benchmark.h>

#include <set>

#include "base/thread_pool.h"
#include "ops/machine_peak.h"
#include "ops/matmul/matmul.h"
#include "support/blocks.h"

namespace corral {
namespace {

using bench::Ceiling;
using benchmark::Counter;

// y[M, N] = x[M, K] W[N, K]^T. Arguments: dtype, M, K, N, threads.
void block_product(benchmark::State& state) {
  const auto dtype = static_cast<DType>(state.range(0));
  const int64_t M = state.range(1);
  const int64_t K = state.range(2);
  const int64_t N = state.range(3);
  const auto threads = static_cast<int>(state.range(4));
  const DevicePtr device = Device::cpu({.threads = threads});
  const Tensor x = test::randn({M, K}, 1, device);
  // As much as does not fit in a cache, as in a model: the copies are read in turn.
  const int64_t copies = std::max<int64_t>(1, (int64_t{128} << 20) / bytes_of(dtype, N * K));
  Tensor w({copies, N, K}, dtype, device);
  const Tensor one = test::random_blocks({N, K}, dtype, 2, device);
  for (int64_t i = 0; i < copies; ++i) {
    std::memcpy(w.mutable_data<std::byte>() + i * one.size_bytes(), one.data<std::byte>(),
                static_cast<size_t>(one.size_bytes()));
  }
  Tensor y({M, N}, DType::kF32, device);
  const double read = M == 1 ? bench::read_now(threads) : bench::ceiling(Ceiling::kRead, threads);
  int64_t turn = 0;
  for (auto _ : state) {
    const std::byte* at = w.data<std::byte>() + turn++ % copies * one.size_bytes();
    ops::matmul(*device, {x.data<float>(), DType::kF32, M, K, K, 1}, {at, dtype, N, K, K, 1},
                {y.mutable_data<float>(), M, N, N, 1}, false, quant::Precision::kF32);
  }
  const auto runs = static_cast<double>(state.iterations());
  const double bytes = static_cast<double>(one.size_bytes()) * runs;
  const double operations = 2.0 * static_cast<double>(M * K * N) * runs;
  state.SetLabel(std::string(dtype_name(dtype)));
  state.counters["GB/s"] = Counter(bytes / 1e9, Counter::kIsRate);
  state.counters["of_read"] = Counter(bytes / read, Counter::kIsRate);
  state.counters["GOP/s"] = Counter(operations / 1e9, Counter::kIsRate);
  const bool int8 = ops::arithmetic_of_blocks(dtype) == Arithmetic::kInt8;
  const double peak = bench::ceiling(int8 ? Ceiling::kInt8 : Ceiling::kInt4, threads);
  if (peak > 0) state.counters["of_peak"] = Counter(operations / peak, Counter::kIsRate);
}

void shapes(benchmark::internal::Benchmark* b) {
  b->ArgNames({"type", "M", "K", "N", "threads"})->UseRealTime()->MinTime(0.2);
  struct Weights {
    int64_t K;
    int64_t N;
  };
  const std::set<int64_t> several = {1, 2, default_threads()};
  for (const auto [K, N] : {Weights{5120, 8192}, Weights{14336, 4096}}) {
    for (const DType dtype : test::block_types()) {
      for (const int64_t threads : several) {
        for (const int64_t M : {1, 8, 32, 512}) {
          b->Args({static_cast<int64_t>(dtype), M, K, N, threads});
        }
      }
    }
  }
}
BENCHMARK(block_product)->Apply(shapes);

}  // namespace
}  // namespace corral
