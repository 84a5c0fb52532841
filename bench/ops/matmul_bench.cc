// Matrix products at the shapes of the mini models (tokens x width, all three products of a
// training step), at decode, and at Scout's; oneDNN beside them. Counters: operations or bytes a
// second, and their share of the machine's ceiling for that instruction. oneDNN is given the same
// threads through OpenMP.

#include <benchmark/benchmark.h>
#include <dlfcn.h>

#include <dnnl.hpp>

#include "ops/machine_peak.h"
#include "ops/matmul/matmul.h"
#include "support/tensors.h"

namespace corral {
namespace {

using bench::Ceiling;
using quant::Precision;

DevicePtr device_of(int64_t threads) { return Device::cpu({.threads = static_cast<int>(threads)}); }

ops::MatrixView view(const Tensor& x) {
  return {x.data<std::byte>(), x.dtype(), x.dim(0), x.dim(1), x.dim(1), 1};
}
ops::MutableMatrix target(Tensor& x) {
  return {x.mutable_data<float>(), x.dim(0), x.dim(1), x.dim(1), 1};
}

void report_operations(benchmark::State& state, double operations, Precision precision,
                       int64_t threads) {
  const Ceiling what = precision == Precision::kBF16 ? Ceiling::kBF16 : Ceiling::kF32;
  using benchmark::Counter;
  const double all = operations * static_cast<double>(state.iterations());
  state.counters["GFLOP/s"] = Counter(all / 1e9, Counter::kIsRate);
  const double peak = bench::ceiling(what, static_cast<int>(threads));
  if (peak > 0) state.counters["share"] = Counter(all / peak, Counter::kIsRate);
}

void report_bytes(benchmark::State& state, double bytes, int64_t threads) {
  using benchmark::Counter;
  const double all = bytes * static_cast<double>(state.iterations());
  state.counters["GB/s"] = Counter(all / 1e9, Counter::kIsRate);
  state.counters["share"] =
      Counter(all / bench::ceiling(Ceiling::kRead, static_cast<int>(threads)), Counter::kIsRate);
}

enum class Kind { kForward, kInputGradient, kWeightGradient };

// y[T, N] = x[T, K] W[N, K]^T and its two gradients; arguments T, K, N, threads.
template <Kind kind, Precision precision>
void training_product(benchmark::State& state) {
  const int64_t T = state.range(0);
  const int64_t K = state.range(1);
  const int64_t N = state.range(2);
  const DevicePtr device = device_of(state.range(3));
  const Tensor x = test::randn({T, K}, 1, device);
  const Tensor w = test::randn({N, K}, 2, device);
  const Tensor dy = test::randn({T, N}, 3, device);
  Tensor y({T, N}, DType::kF32, device);
  Tensor dx({T, K}, DType::kF32, device);
  Tensor dw = Tensor::zeros({N, K}, DType::kF32, device);
  for (auto _ : state) {
    if (kind == Kind::kForward) {
      ops::matmul(*device, view(x), view(w), target(y), false, precision);
    } else if (kind == Kind::kInputGradient) {
      ops::matmul(*device, view(dy), view(w).transposed(), target(dx), false, precision);
    } else {
      ops::matmul(*device, view(dy).transposed(), view(x).transposed(), target(dw), true,
                  precision);
    }
  }
  report_operations(state, 2.0 * static_cast<double>(T * K * N), precision, state.range(3));
}

// y[M, N] = x[M, K] W[N, K]^T for few rows: reading W is the work. Arguments M, K, N, threads.
template <DType dtype, Precision precision>
void decode(benchmark::State& state) {
  const DevicePtr device = device_of(state.range(3));
  const Tensor x = test::randn({state.range(0), state.range(1)}, 1, device);
  Tensor w = Tensor::zeros({state.range(2), state.range(1)}, dtype, device);
  Tensor y({state.range(0), state.range(2)}, DType::kF32, device);
  for (auto _ : state) ops::matmul(*device, view(x), view(w), target(y), false, precision);
  report_bytes(state, static_cast<double>(w.size_bytes()), state.range(3));
}

// oneDNN's threads are those of the OpenMP runtime that came with it.
void set_peer_threads(int64_t threads) {
  using Set = void (*)(int);
  const auto set = reinterpret_cast<Set>(dlsym(RTLD_DEFAULT, "omp_set_num_threads"));
  if (set != nullptr) set(static_cast<int>(threads));
}

// The same product by oneDNN: sgemm, or its matmul primitive on bf16 copies of the operands.
template <Kind kind>
void peer_sgemm(benchmark::State& state) {
  const int64_t T = state.range(0);
  const int64_t K = state.range(1);
  const int64_t N = state.range(2);
  set_peer_threads(state.range(3));
  const Tensor x = test::randn({T, K}, 1);
  const Tensor w = test::randn({N, K}, 2);
  const Tensor dy = test::randn({T, N}, 3);
  Tensor y({T, std::max(N, K)}, DType::kF32, x.device());
  float* out = y.mutable_data<float>();
  for (auto _ : state) {
    if (kind == Kind::kForward) {
      dnnl::sgemm('N', 'T', T, N, K, 1, x.data<float>(), K, w.data<float>(), K, 0, out, N);
    } else if (kind == Kind::kInputGradient) {
      dnnl::sgemm('N', 'N', T, K, N, 1, dy.data<float>(), N, w.data<float>(), K, 0, out, K);
    } else {
      dnnl::sgemm('T', 'N', N, K, T, 1, dy.data<float>(), N, x.data<float>(), K, 1, out, K);
    }
  }
  report_operations(state, 2.0 * static_cast<double>(T * K * N), Precision::kF32, state.range(3));
}

// A row-major matrix of this many rows and columns, or the same memory read as its transpose.
dnnl::memory::desc bf16_matrix(int64_t rows, int64_t cols, bool transposed) {
  using dnnl::memory;
  return {{rows, cols},
          memory::data_type::bf16,
          transposed ? memory::format_tag::ba : memory::format_tag::ab};
}

// Operands are bf16 already: rounding them, which ours does as it packs, is not in the peer's time.
template <Kind kind>
void peer_bf16(benchmark::State& state) {
  using dnnl::memory;
  const int64_t T = state.range(0);
  const int64_t K = state.range(1);
  const int64_t N = state.range(2);
  set_peer_threads(state.range(3));
  Tensor x = test::to_dtype(test::randn({T, K}, 1), DType::kBF16);
  Tensor w = test::to_dtype(test::randn({N, K}, 2), DType::kBF16);
  Tensor dy = test::to_dtype(test::randn({T, N}, 3), DType::kBF16);
  const int64_t rows = kind == Kind::kWeightGradient ? N : T;
  const int64_t cols = kind == Kind::kForward ? N : K;
  const int64_t depth = kind == Kind::kForward ? K : kind == Kind::kInputGradient ? N : T;
  Tensor y = Tensor::zeros({rows, cols}, DType::kF32, x.device());
  const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  dnnl::stream stream(engine);
  const memory::desc a_desc = bf16_matrix(rows, depth, kind == Kind::kWeightGradient);
  const memory::desc b_desc = bf16_matrix(depth, cols, kind == Kind::kForward);
  const memory::desc y_desc({rows, cols}, memory::data_type::f32, memory::format_tag::ab);
  dnnl::primitive_attr attributes;
  if (kind == Kind::kWeightGradient) {
    dnnl::post_ops accumulate;
    accumulate.append_sum();
    attributes.set_post_ops(accumulate);
  }
  const dnnl::matmul product(
      dnnl::matmul::primitive_desc(dnnl::matmul::desc(a_desc, b_desc, y_desc), attributes, engine));
  Tensor& a = kind == Kind::kForward ? x : dy;
  Tensor& b = kind == Kind::kWeightGradient ? x : w;
  memory a_memory(a_desc, engine, a.mutable_data<std::byte>());
  memory b_memory(b_desc, engine, b.mutable_data<std::byte>());
  memory y_memory(y_desc, engine, y.mutable_data<std::byte>());
  for (auto _ : state) {
    product.execute(
        stream, {{DNNL_ARG_SRC, a_memory}, {DNNL_ARG_WEIGHTS, b_memory}, {DNNL_ARG_DST, y_memory}});
    stream.wait();
  }
  report_operations(state, 2.0 * static_cast<double>(T * K * N), Precision::kBF16, state.range(3));
}

void training_shapes(benchmark::internal::Benchmark* b) {
  for (const int64_t threads : {1, 2}) {
    for (const auto& [K, N] : std::vector<std::pair<int64_t, int64_t>>{{160, 160},
                                                                       {160, 256},
                                                                       {256, 160},
                                                                       {320, 512},
                                                                       {512, 320},
                                                                       {1024, 1024},
                                                                       {2048, 2048},
                                                                       {5120, 5120},
                                                                       {160, 4096}}) {
      b->Args({4096, K, N, threads});
    }
  }
  b->UseRealTime()->MinTime(0.2);
}

void decode_shapes(benchmark::internal::Benchmark* b) {
  for (const int64_t threads : {1, 2}) {
    for (const int64_t M : {1, 8}) {
      b->Args({M, 160, 160, threads});
      b->Args({M, 160, 256, threads});
      b->Args({M, 160, 4096, threads});
      b->Args({M, 5120, 8192, threads});
    }
  }
  b->UseRealTime()->MinTime(0.2);
}

BENCHMARK(training_product<Kind::kForward, Precision::kBF16>)->Apply(training_shapes);
BENCHMARK(peer_bf16<Kind::kForward>)->Apply(training_shapes);
BENCHMARK(training_product<Kind::kInputGradient, Precision::kBF16>)->Apply(training_shapes);
BENCHMARK(peer_bf16<Kind::kInputGradient>)->Apply(training_shapes);
BENCHMARK(training_product<Kind::kWeightGradient, Precision::kBF16>)->Apply(training_shapes);
BENCHMARK(peer_bf16<Kind::kWeightGradient>)->Apply(training_shapes);
BENCHMARK(training_product<Kind::kForward, Precision::kF32>)->Apply(training_shapes);
BENCHMARK(peer_sgemm<Kind::kForward>)->Apply(training_shapes);
BENCHMARK(training_product<Kind::kInputGradient, Precision::kF32>)->Apply(training_shapes);
BENCHMARK(peer_sgemm<Kind::kInputGradient>)->Apply(training_shapes);
BENCHMARK(training_product<Kind::kWeightGradient, Precision::kF32>)->Apply(training_shapes);
BENCHMARK(peer_sgemm<Kind::kWeightGradient>)->Apply(training_shapes);
BENCHMARK(decode<DType::kF32, Precision::kF32>)->Apply(decode_shapes);
BENCHMARK(decode<DType::kBF16, Precision::kBF16>)->Apply(decode_shapes);
BENCHMARK(decode<DType::kBF16, Precision::kF32>)->Apply(decode_shapes);

}  // namespace
}  // namespace corral
