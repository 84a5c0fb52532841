#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace corral::engine {

/// A token and its unnormalised probability: 1 for the likeliest.
struct Candidate {
  int32_t token;
  double logit;
  double weight;
};

/// The likelier first, the lower id among equals.
bool likelier(const Candidate& a, const Candidate& b);

/// The probabilities of tokens, told apart into ranges of falling likelihood, so that what has to
/// be in order can be put in order a range at a time. What is so unlikely that it would not change
/// a sum that the likeliest is in (less than 2^-54 of it) is left out.
class Likelihoods {
 public:
  /// Takes logits, of which `best` is the greatest, at a temperature greater than 0. Minus infinity
  /// marks tokens that cannot be chosen. The logits must stay where they are.
  void reset(std::span<const double> logits, double best, double temperature);

  size_t ranges() const { return ranges_; }
  /// Of all weights, and of those in a range.
  double total() const { return total_; }
  double sum(size_t range) const { return sums_[range]; }
  /// So many ranges at the beginning hold only weights greater than this.
  size_t ranges_above(double weight) const;
  /// The candidates of a range, the likeliest first.
  std::vector<Candidate> sorted(size_t range) const;

 private:
  static constexpr size_t kMostRanges = 1024;

  std::span<const double> logits_;
  std::vector<double> weights_;
  std::vector<uint16_t> range_of_;
  std::array<double, kMostRanges> sums_{};
  size_t ranges_ = 1;
  double width_ = 0;
  double total_ = 0;
};

}  // namespace corral::engine
