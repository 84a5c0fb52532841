#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "model/forward.h"

namespace corral::engine {

/// Notes which experts work on some rows of a batch. A pass that nobody asks about goes without it
/// and costs nothing.
class ExpertRoutes final : public model::Observer {
 public:
  /// Before the pass.
  void watch(int64_t row) { experts_of_row_[row]; }
  bool watches_any() const { return !experts_of_row_.empty(); }

  void activation(const std::string&, const Tensor&) override {}
  void routed(int64_t layer, const Tensor& logits_TE, const ops::Routing& routing) override;

  /// The best expert of each layer of experts, from the first layer on. Empty for rows that were
  /// not watched.
  std::vector<int32_t> of(int64_t row) const;

 private:
  std::map<int64_t, std::vector<int32_t>> experts_of_row_;
};

}  // namespace corral::engine
