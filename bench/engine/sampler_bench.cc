// The choice of a token among 202,048, for logits like those of a model (a few far ahead) and for
// flat ones. The floor is a copy of the logits.
#include <benchmark/benchmark.h>

#include <cmath>

#include "base/random.h"
#include "engine/sampler.h"

namespace corral::engine {
namespace {

constexpr size_t kV = 202'048;

std::vector<float> make_logits(double spread) {
  const Philox random(1);
  std::vector<float> logits;
  for (uint64_t i = 0; i < kV; ++i) {
    const double normal = std::sqrt(-2 * std::log(random.uniform(2 * i) + 1e-12)) *
                          std::cos(6.283185307 * random.uniform(2 * i + 1));
    logits.push_back(static_cast<float>(spread * normal));
  }
  return logits;
}

void copy_logits(benchmark::State& state) {
  const auto logits = make_logits(3);
  std::vector<double> copy;
  for (auto _ : state) {
    copy.assign(logits.begin(), logits.end());
    benchmark::DoNotOptimize(copy.data());
  }
}
BENCHMARK(copy_logits)->Unit(benchmark::kMicrosecond);

void sample(benchmark::State& state, double spread, double temperature, int64_t top_k,
            double top_p) {
  const auto logits = make_logits(spread);
  SamplingOptions options;
  options.temperature = temperature;
  options.top_k = top_k;
  options.top_p = top_p;
  Sampler sampler(options);
  for (auto _ : state) benchmark::DoNotOptimize(sampler.sample(logits, {}));
}
BENCHMARK_CAPTURE(sample, greedy, 3, 0, 0, 1)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(sample, all, 3, 1, 0, 1)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(sample, top_p_95, 3, 0.7, 0, 0.95)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(sample, top_k_40, 3, 0.7, 40, 1)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(sample, flat_top_p_95, 0.1, 1, 0, 0.95)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace corral::engine
