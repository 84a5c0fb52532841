#include "io/extents.h"

#include <algorithm>
#include <limits>

#include "base/error.h"
#include "io/names.h"

namespace corral::io {

Shape checked_shape(std::span<const uint64_t> dims, const std::string& what,
                    std::string_view tensor) {
  if (dims.size() > Shape::kMaxRank) {
    throw NotSupported(str(what, ": tensor ", show_name(tensor), " has ", dims.size(),
                           " axes, Corral handles at most ", Shape::kMaxRank));
  }
  constexpr uint64_t kMax = std::numeric_limits<int64_t>::max();
  uint64_t product = 1;
  std::vector<int64_t> axes;
  for (const uint64_t dim : dims) {
    if (dim != 0 && product > kMax / dim) {
      throw CorruptFile(
          str(what, ": tensor ", show_name(tensor), " has more elements than any file can hold"));
    }
    product *= std::max<uint64_t>(dim, 1);
    axes.push_back(static_cast<int64_t>(dim));
  }
  return Shape(axes);
}

void check_no_overlap(const std::vector<TensorInfo>& tensors, const std::string& what) {
  std::vector<const TensorInfo*> order;
  for (const TensorInfo& tensor : tensors) {
    if (tensor.size_bytes > 0) order.push_back(&tensor);
  }
  std::sort(order.begin(), order.end(), [](const TensorInfo* a, const TensorInfo* b) {
    return a->offset_bytes < b->offset_bytes;
  });
  for (size_t i = 1; i < order.size(); ++i) {
    const TensorInfo& before = *order[i - 1];
    if (order[i]->offset_bytes - before.offset_bytes < before.size_bytes) {
      throw CorruptFile(str(what, ": the data of tensors ", show_name(before.name), " and ",
                            show_name(order[i]->name), " overlaps"));
    }
  }
}

}  // namespace corral::io
