#include "engine/expert_routes.h"

namespace corral::engine {

void ExpertRoutes::routed(int64_t, const Tensor&, const ops::Routing& routing) {
  for (auto& [row, experts] : experts_of_row_) {
    experts.push_back(routing.expert_TK[static_cast<size_t>(row * routing.top_k)]);
  }
}

std::vector<int32_t> ExpertRoutes::of(int64_t row) const {
  const auto found = experts_of_row_.find(row);
  return found == experts_of_row_.end() ? std::vector<int32_t>() : found->second;
}

}  // namespace corral::engine
