#include "engine/likelihoods.h"

#include <algorithm>
#include <cmath>

namespace corral::engine {
namespace {

constexpr double kNegligible = 38;  // exp(-38) < 2^-54

}  // namespace

bool likelier(const Candidate& a, const Candidate& b) {
  return a.logit > b.logit || (a.logit == b.logit && a.token < b.token);
}

void Likelihoods::reset(std::span<const double> logits, double best, double temperature) {
  logits_ = logits;
  ranges_ = std::clamp(logits.size() / 8, size_t{1}, kMostRanges);
  weights_.resize(logits.size());
  range_of_.resize(logits.size());
  sums_.fill(0);
  total_ = 0;
  const double lowest = best - kNegligible * temperature;
  double farthest = best;
  for (const double logit : logits)
    farthest = logit > lowest && logit < farthest ? logit : farthest;
  width_ = std::max((best - farthest) / temperature / static_cast<double>(ranges_), 1e-9);
  for (size_t i = 0; i < logits.size(); ++i) {
    range_of_[i] = kMostRanges;
    if (!(logits[i] > lowest)) continue;
    const double below = (best - logits[i]) / temperature;
    const size_t range = std::min(static_cast<size_t>(below / width_), ranges_ - 1);
    range_of_[i] = static_cast<uint16_t>(range);
    weights_[i] = std::exp(-below);
    sums_[range] += weights_[i];
    total_ += weights_[i];
  }
}

size_t Likelihoods::ranges_above(double weight) const {
  if (weight <= 0) return ranges_;
  // One range less than the quotient says: it is rounded.
  const double last = std::floor(-std::log(weight) / width_) - 1;
  return static_cast<size_t>(std::clamp(last, 0.0, static_cast<double>(ranges_)));
}

std::vector<Candidate> Likelihoods::sorted(size_t range) const {
  std::vector<Candidate> list;
  if (sums_[range] == 0) return list;
  for (size_t i = 0; i < logits_.size(); ++i) {
    if (range_of_[i] != range) continue;
    list.push_back({static_cast<int32_t>(i), logits_[i], weights_[i]});
  }
  std::sort(list.begin(), list.end(), likelier);
  return list;
}

}  // namespace corral::engine
