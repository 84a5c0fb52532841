#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "ops/matmul/matmul.h"
#include "ops/matmul/scratch.h"

namespace corral::ops {

// What threads multiply piece by piece are tasks: a product, or two whose results are joined.
inline constexpr int32_t kMostOfTask = 2;
inline size_t products_of_task(const JoinResults* join) { return join != nullptr ? 2 : 1; }

inline Area whole_area(const Product& p) { return {0, p.c_MN.rows, 0, p.c_MN.cols}; }

/// Joins the results of pairs of products (matmul_pairs()): knows how many pieces of each area are
/// still to be computed. Of products that are not pairs, without `join`, it does nothing.
class Joiner {
 public:
  Joiner(Device& device, const JoinResults* join, int64_t areas)
      : join_(join),
        memory_(device, join != nullptr ? areas * static_cast<int64_t>(sizeof(Left)) : 0) {}

  /// So many pieces make up an area. Before the threads begin.
  void expect(int64_t area, int32_t pieces) {
    if (join_ != nullptr) std::construct_at(left(area))->pieces = pieces;
  }
  /// A piece has been computed of the area `index`, which is area().
  template <class AreaOf>
  void ended(int64_t index, const Product& first, const Product& second, const AreaOf& area) {
    // Who joins sees what the others have written.
    if (join_ == nullptr || left(index)->pieces.fetch_sub(1, std::memory_order_acq_rel) != 1)
      return;
    (*join_)(first, second, area());
  }

 private:
  /// In a cache line of its own: most pieces of an area are one thread's.
  struct alignas(64) Left {
    std::atomic<int32_t> pieces;
  };
  Left* left(int64_t area) const { return reinterpret_cast<Left*>(memory_.data()) + area; }

  const JoinResults* join_;
  Scratch memory_;
};

}  // namespace corral::ops
