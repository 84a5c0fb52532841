// Converting weights, in elements a second and in bytes read and written: what saving, exporting
// and quantizing a model costs besides the disk.
#include <benchmark/benchmark.h>

#include "io/convert_dtype.h"
#include "support/tensors.h"

namespace corral::io {
namespace {

void convert_weights(benchmark::State& state, DType from, DType to) {
  const DevicePtr device = test::test_device(simd::detect_isa(), static_cast<int>(state.range(0)));
  const Tensor x = convert(test::randn({1024, 4096}, 1, device), from);
  for (auto _ : state) benchmark::DoNotOptimize(convert(x, to));
  state.SetItemsProcessed(state.iterations() * x.numel());
  state.SetBytesProcessed(state.iterations() * (x.size_bytes() + bytes_of(to, x.numel())));
}

BENCHMARK_CAPTURE(convert_weights, f32_to_bf16, DType::kF32, DType::kBF16)
    ->Arg(1)
    ->Arg(2)
    ->UseRealTime();
BENCHMARK_CAPTURE(convert_weights, f32_to_f16, DType::kF32, DType::kF16)
    ->Arg(1)
    ->Arg(2)
    ->UseRealTime();
BENCHMARK_CAPTURE(convert_weights, f32_to_q8_0, DType::kF32, DType::kQ8_0)
    ->Arg(1)
    ->Arg(2)
    ->UseRealTime();
BENCHMARK_CAPTURE(convert_weights, f32_to_q4_k, DType::kF32, DType::kQ4_K)
    ->Arg(1)
    ->Arg(2)
    ->UseRealTime();
BENCHMARK_CAPTURE(convert_weights, bf16_to_f32, DType::kBF16, DType::kF32)
    ->Arg(1)
    ->Arg(2)
    ->UseRealTime();
BENCHMARK_CAPTURE(convert_weights, bf16_to_q8_0, DType::kBF16, DType::kQ8_0)
    ->Arg(1)
    ->Arg(2)
    ->UseRealTime();
BENCHMARK_CAPTURE(convert_weights, q8_0_to_f32, DType::kQ8_0, DType::kF32)
    ->Arg(1)
    ->Arg(2)
    ->UseRealTime();

}  // namespace
}  // namespace corral::io
