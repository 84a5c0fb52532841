#pragma once

#include <cstdint>
#include <vector>

#include "tensor/tensor.h"

namespace corral::cli {

/// How far the next-token distributions q of a model are from those p of a reference, over many
/// positions: the Kullback-Leibler divergence sum p ln(p / q) in nats, and how often both have the
/// same most likely token.
class Divergence {
 public:
  /// Adds the positions of two matrices of logits [T, V], f32. Throws ShapeError if they differ.
  void add(const Tensor& reference_TV, const Tensor& logits_TV);

  int64_t positions() const { return static_cast<int64_t>(kl_.size()); }
  /// The rest for at least one position.
  double mean() const;
  /// The smallest divergence that this share of the positions does not exceed.
  double percentile(double share) const;
  double same_top_share() const;

 private:
  std::vector<double> kl_;
  int64_t same_top_ = 0;
};

}  // namespace corral::cli
