#include "train/clip.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace corral::train {
namespace {

constexpr int64_t kBlock = 16384;
constexpr size_t kChains = 8;

double sum_of_squares(const float* x, int64_t n) {
  std::array<double, kChains> sums{};
  int64_t i = 0;
  for (; i + static_cast<int64_t>(kChains) <= n; i += static_cast<int64_t>(kChains)) {
    for (size_t c = 0; c < kChains; ++c) {
      const double value = x[i + static_cast<int64_t>(c)];
      sums[c] += value * value;
    }
  }
  for (; i < n; ++i) sums[0] += static_cast<double>(x[i]) * static_cast<double>(x[i]);
  return ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
}

double sum_of_squares(const Tensor& tensor, std::vector<double>& blocks) {
  const auto* x = tensor.data<float>();
  const int64_t n = tensor.numel();
  const int64_t count = (n + kBlock - 1) / kBlock;
  blocks.assign(static_cast<size_t>(count), 0.0);
  tensor.device()->threads().parallel_for(count, 1, [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b) {
      const int64_t first = b * kBlock;
      blocks[static_cast<size_t>(b)] = sum_of_squares(x + first, std::min(kBlock, n - first));
    }
  });
  double sum = 0;
  for (const double block : blocks) sum += block;
  return sum;
}

}  // namespace

GradientNorm gradient_norm(const std::vector<Tensor>& gradients) {
  GradientNorm result;
  double sum = 0;
  std::vector<double> blocks;
  for (size_t i = 0; i < gradients.size(); ++i) {
    if (!gradients[i].defined()) continue;
    const double part = sum_of_squares(gradients[i], blocks);
    if (!std::isfinite(part) && !result.not_finite) result.not_finite = i;
    sum += part;
  }
  result.norm = std::sqrt(sum);
  return result;
}

double clip_scale(double norm, double max_norm) {
  return max_norm > 0 && norm > max_norm ? max_norm / norm : 1.0;
}

}  // namespace corral::train
