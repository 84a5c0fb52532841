#include "tensor/shape.h"

#include <algorithm>
#include <limits>

#include "base/error.h"

namespace corral {

Shape::Shape(std::initializer_list<int64_t> dims)
    : Shape(std::span<const int64_t>(dims.begin(), dims.size())) {}

Shape::Shape(std::span<const int64_t> dims) {
  if (dims.size() > kMaxRank) {
    throw ShapeError(str("a tensor has at most ", kMaxRank, " axes, got ", dims.size()));
  }
  rank_ = static_cast<int>(dims.size());
  std::copy(dims.begin(), dims.end(), dims_.begin());
  for (const int64_t dim : dims) {
    if (dim < 0) throw ShapeError(str("axis of ", dim, " elements in ", *this));
    if (dim != 0 && numel_ > std::numeric_limits<int64_t>::max() / dim) {
      throw ShapeError(str("shape ", *this, " has more elements than 2^63"));
    }
    numel_ *= dim;
  }
}

int64_t Shape::operator[](int axis) const {
  const int at = axis < 0 ? axis + rank_ : axis;
  if (at < 0 || at >= rank_) throw ShapeError(str("shape ", *this, " has no axis ", axis));
  return dims_[static_cast<size_t>(at)];
}

std::ostream& operator<<(std::ostream& out, const Shape& shape) {
  out << '[';
  for (int i = 0; i < shape.rank_; ++i) {
    out << (i == 0 ? "" : ", ") << shape.dims_[static_cast<size_t>(i)];
  }
  return out << ']';
}

}  // namespace corral
