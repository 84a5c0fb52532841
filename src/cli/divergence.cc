#include "cli/divergence.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <span>

#include "base/error.h"

namespace corral::cli {
namespace {

/// ln sum exp(x).
double log_sum_exp(std::span<const float> x) {
  const auto largest = static_cast<double>(*std::max_element(x.begin(), x.end()));
  double sum = 0;
  for (const float value : x) sum += std::exp(static_cast<double>(value) - largest);
  return largest + std::log(sum);
}

double divergence_of(std::span<const float> p, std::span<const float> q) {
  const double p_total = log_sum_exp(p);
  const double q_total = log_sum_exp(q);
  double sum = 0;
  for (size_t v = 0; v < p.size(); ++v) {
    const double log_p = static_cast<double>(p[v]) - p_total;
    const double log_q = static_cast<double>(q[v]) - q_total;
    const double share = std::exp(log_p);
    if (share > 0) sum += share * (log_p - log_q);
  }
  return std::max(sum, 0.0);  // rounding can leave a little less than nothing
}

std::ptrdiff_t top(std::span<const float> x) {
  return std::max_element(x.begin(), x.end()) - x.begin();
}

}  // namespace

void Divergence::add(const Tensor& reference_TV, const Tensor& logits_TV) {
  if (reference_TV.shape() != logits_TV.shape() || logits_TV.rank() != 2) {
    throw ShapeError(
        str("divergence of logits ", logits_TV.shape(), " from ", reference_TV.shape()));
  }
  const int64_t T = logits_TV.dim(0);
  const auto V = static_cast<size_t>(logits_TV.dim(1));
  const auto first = kl_.size();
  kl_.resize(first + static_cast<size_t>(T));
  std::atomic<int64_t> same{0};
  logits_TV.device()->threads().parallel_for(T, 1, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      const auto row = static_cast<size_t>(t);
      const std::span<const float> p(reference_TV.data<float>() + row * V, V);
      const std::span<const float> q(logits_TV.data<float>() + row * V, V);
      kl_[first + row] = divergence_of(p, q);
      if (top(p) == top(q)) ++same;
    }
  });
  same_top_ += same;
}

double Divergence::mean() const {
  double sum = 0;
  for (const double kl : kl_) sum += kl;
  return sum / static_cast<double>(kl_.size());
}

double Divergence::percentile(double share) const {
  std::vector<double> sorted = kl_;
  const auto count = static_cast<double>(sorted.size());
  const auto rank = static_cast<size_t>(std::clamp(std::ceil(share * count), 1.0, count)) - 1;
  std::nth_element(sorted.begin(), sorted.begin() + static_cast<std::ptrdiff_t>(rank),
                   sorted.end());
  return sorted[rank];
}

double Divergence::same_top_share() const {
  return static_cast<double>(same_top_) / static_cast<double>(kl_.size());
}

}  // namespace corral::cli
