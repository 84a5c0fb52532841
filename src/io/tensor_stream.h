#pragma once

#include <cstddef>
#include <cstdint>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/streamed_file.h"
#include "tensor/tensor.h"

namespace corral::io {

/// A tensor as it is to stand in a file.
struct TensorSlot {
  std::string name;
  DType dtype = DType::kF32;
  Shape shape;
  int64_t size_bytes = 0;
  std::string type_name = {};  // what the format calls it, where that does not follow from dtype
};

/// The part that all tensor writers share: a list of tensors, declared first, whose data then comes
/// in the same order, each at once or in runs of whole rows, and is converted on the way.
class TensorStream {
 public:
  /// what: the file's name, for messages.
  explicit TensorStream(std::string what) : what_(std::move(what)) {}

  /// Throws Error when the name was declared before or writing has begun, ShapeError when rows are
  /// not whole blocks of dtype.
  void declare(std::string_view name, DType dtype, const Shape& shape,
               std::string_view type_name = {});
  const std::vector<TensorSlot>& slots() const { return slots_; }

  /// Appends the next rows of a tensor to the file. `part` has the declared shape, or fewer rows of
  /// the first axis; any type that io/convert_dtype.h turns into the declared one. Returns true
  /// when the tensor is complete. Throws Error when it is not this tensor's turn, ShapeError when
  /// the shape is not the declared one.
  /// importance: as convert_elements() takes it.
  bool append(StreamedFile& file, std::string_view name, const Tensor& part,
              std::span<const float> importance = {});
  bool begun() const { return next_ > 0 || rows_done_ > 0; }
  /// Throws Error naming the first tensor whose data is not complete.
  void check_complete() const;

  /// The tensor whose data comes next; slots().size() when all is written.
  size_t next() const { return next_; }

 private:
  void check_part(const TensorSlot& slot, const Tensor& part) const;
  void write_data(StreamedFile& file, const TensorSlot& slot, const Tensor& part,
                  std::span<const float> importance);

  std::string what_;
  std::vector<TensorSlot> slots_;
  std::set<std::string, std::less<>> names_;
  size_t next_ = 0;
  int64_t rows_done_ = 0;
  std::vector<std::byte> buffer_;
};

}  // namespace corral::io
