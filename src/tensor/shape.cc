#include "tensor/shape.h"

#include <algorithm>

#include "base/error.h"

namespace corral {
namespace {

void print(std::ostream& out, std::span<const int64_t> dims) {
  out << '[';
  for (size_t i = 0; i < dims.size(); ++i) out << (i == 0 ? "" : ", ") << dims[i];
  out << ']';
}

}  // namespace

void Shape::fail_rank(size_t rank) {
  throw ShapeError(str("a tensor has at most ", kMaxRank, " axes, got ", rank));
}

void Shape::fail_axes(std::span<const int64_t> dims) {
  std::ostringstream all;
  print(all, dims);
  const auto negative = std::find_if(dims.begin(), dims.end(), [](int64_t dim) { return dim < 0; });
  if (negative != dims.end()) {
    throw ShapeError(str("axis of ", *negative, " elements in ", all.str()));
  }
  throw ShapeError(str("shape ", all.str(), " has more elements than 2^63"));
}

void Shape::fail_axis(int axis) const {
  throw ShapeError(str("shape ", *this, " has no axis ", axis));
}

std::ostream& operator<<(std::ostream& out, const Shape& shape) {
  print(out, shape.dims());
  return out;
}

}  // namespace corral
