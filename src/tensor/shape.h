#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <ostream>
#include <span>

namespace corral {

/// Up to four axes, each at least 0, outermost first; the number of elements fits an int64_t.
class Shape {
 public:
  static constexpr int kMaxRank = 4;

  Shape() = default;
  Shape(std::initializer_list<int64_t> dims)
      : Shape(std::span<const int64_t>(dims.begin(), dims.size())) {}
  explicit Shape(std::span<const int64_t> dims) {
    if (dims.size() > kMaxRank) fail_rank(dims.size());
    for (const int64_t dim : dims) {
      dims_[static_cast<size_t>(rank_++)] = dim;
      if (dim < 0 || __builtin_mul_overflow(numel_, dim, &numel_)) fail_axes(dims);
    }
  }

  int rank() const { return rank_; }
  /// Axis i; negative counts from the end. Throws ShapeError when there is none.
  int64_t operator[](int axis) const {
    const int at = axis < 0 ? axis + rank_ : axis;
    if (at < 0 || at >= rank_) fail_axis(axis);
    return dims_[static_cast<size_t>(at)];
  }
  /// Product of all axes; 1 for rank 0.
  int64_t numel() const { return numel_; }
  /// The same with another last axis; rank above 0.
  Shape with_last(int64_t dim) const {
    if (rank_ == 0) fail_axis(-1);
    Shape shape = *this;
    shape.dims_[static_cast<size_t>(rank_ - 1)] = dim;
    shape.numel_ = 1;
    for (int i = 0; i < rank_; ++i) {
      const int64_t own = shape.dims_[static_cast<size_t>(i)];
      if (own < 0 || __builtin_mul_overflow(shape.numel_, own, &shape.numel_))
        fail_axes(shape.dims());
    }
    return shape;
  }
  std::span<const int64_t> dims() const { return {dims_.data(), static_cast<size_t>(rank_)}; }

  friend bool operator==(const Shape& a, const Shape& b) {
    // Axes beyond the rank are zeros. Not ==, which calls memcmp.
    bool same = a.rank_ == b.rank_;
    for (size_t i = 0; i < kMaxRank; ++i) same &= a.dims_[i] == b.dims_[i];
    return same;
  }
  /// "[3, 4]"
  friend std::ostream& operator<<(std::ostream& out, const Shape& shape);

 private:
  // Apart, so that what is asked hundreds of times in a decode step is inlined without them.
  [[noreturn]] static void fail_rank(size_t rank);
  [[noreturn]] static void fail_axes(std::span<const int64_t> dims);
  [[noreturn]] void fail_axis(int axis) const;

  std::array<int64_t, kMaxRank> dims_{};
  int rank_ = 0;
  int64_t numel_ = 1;
};

}  // namespace corral
