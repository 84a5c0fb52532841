#include "io/tensor_stream.h"

#include <algorithm>

#include "base/error.h"
#include "io/convert_dtype.h"
#include "io/names.h"

namespace corral::io {
namespace {

// Elements converted between two writes: 16 MiB of f32, enough to keep all threads busy.
constexpr int64_t kPieceElements = int64_t{1} << 22;

int64_t rows_of(const Shape& shape) { return shape.rank() == 0 ? 1 : shape[0]; }

}  // namespace

void TensorStream::declare(std::string_view name, DType dtype, const Shape& shape,
                           std::string_view type_name) {
  if (begun())
    throw Error(str(what_, ": ", show_name(name), " is declared after data was written"));
  if (name.empty() || !is_utf8(name)) {
    throw Error(str(what_, ": ", show_name(name), " cannot be the name of a tensor"));
  }
  const int64_t row = shape.rank() == 0 ? 1 : shape[-1];
  if (row % block_elements(dtype) != 0) {
    throw ShapeError(str(what_, ": tensor ", show_name(name), " is ", shape, ", but rows of ",
                         dtype, " are multiples of ", block_elements(dtype)));
  }
  if (!names_.emplace(name).second) {
    throw Error(str(what_, ": tensor ", show_name(name), " is declared twice"));
  }
  slots_.push_back(
      {std::string(name), dtype, shape, bytes_of(dtype, shape.numel()), std::string(type_name)});
}

void TensorStream::check_part(const TensorSlot& slot, const Tensor& part) const {
  bool fits = part.rank() == slot.shape.rank();
  for (int axis = 1; fits && axis < part.rank(); ++axis) {
    fits = part.dim(axis) == slot.shape[axis];
  }
  if (!fits || rows_of(part.shape()) > rows_of(slot.shape) - rows_done_) {
    throw ShapeError(str(what_, ": tensor ", show_name(slot.name), " is declared as ", slot.shape,
                         ", got ", part.shape(), " after ", rows_done_, " rows"));
  }
}

void TensorStream::write_data(StreamedFile& file, const TensorSlot& slot, const Tensor& part,
                              std::span<const float> importance) {
  const auto* bytes = part.data<std::byte>();
  if (part.dtype() == slot.dtype) {
    file.write(bytes, static_cast<size_t>(part.size_bytes()));
    return;
  }
  if (!is_convertible(part.dtype()) || !is_convertible(slot.dtype)) {
    throw NotSupported(str(what_, ": tensor ", show_name(slot.name), " is declared as ", slot.dtype,
                           ", got ", part.dtype()));
  }
  // Whole rows, as importances are of their columns.
  const int64_t row = std::max<int64_t>(1, part.rank() == 0 ? 1 : part.dim(-1));
  const int64_t piece = std::max(row, kPieceElements / row * row);
  for (int64_t first = 0; first < part.numel(); first += piece) {
    const int64_t n = std::min(piece, part.numel() - first);
    buffer_.resize(static_cast<size_t>(bytes_of(slot.dtype, n)));
    try {
      convert_elements(part.dtype(), bytes + bytes_of(part.dtype(), first), slot.dtype,
                       buffer_.data(), n, part.device()->threads(), importance);
    } catch (const Error& error) {
      throw Error(str(what_, ": tensor ", show_name(slot.name), ": ", error.what()));
    }
    file.write(buffer_.data(), buffer_.size());
  }
}

bool TensorStream::append(StreamedFile& file, std::string_view name, const Tensor& part,
                          std::span<const float> importance) {
  if (next_ == slots_.size() || slots_[next_].name != name) {
    throw Error(str(what_, ": got data of tensor ", show_name(name), ", due was ",
                    next_ == slots_.size() ? "no more" : show_name(slots_[next_].name)));
  }
  const TensorSlot& slot = slots_[next_];
  check_part(slot, part);
  write_data(file, slot, part, importance);
  rows_done_ += rows_of(part.shape());
  if (rows_done_ < rows_of(slot.shape)) return false;
  rows_done_ = 0;
  ++next_;
  return true;
}

void TensorStream::check_complete() const {
  if (next_ == slots_.size()) return;
  throw Error(str(what_, ": the data of tensor ", show_name(slots_[next_].name), " is missing"));
}

}  // namespace corral::io
