#include "io/weight_source.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <numeric>
#include <utility>

#include "base/error.h"
#include "io/names.h"

namespace corral::io {
namespace {

uintptr_t alignment_of(DType dtype) {
  switch (dtype) {
    case DType::kF32:
    case DType::kI32:
      return 4;
    case DType::kI64:
      return 8;
    case DType::kF16:
    case DType::kBF16:
      return 2;
    default:  // bytes and blocks, which are read byte by byte
      return 1;
  }
}

}  // namespace

WeightSource::WeightSource(std::string origin, std::vector<TensorInfo> tensors)
    : origin_(std::move(origin)), tensors_(std::move(tensors)), by_name_(tensors_.size()) {
  std::iota(by_name_.begin(), by_name_.end(), size_t{0});
  std::sort(by_name_.begin(), by_name_.end(),
            [this](size_t a, size_t b) { return tensors_[a].name < tensors_[b].name; });
  for (size_t i = 1; i < by_name_.size(); ++i) {
    const std::string& name = tensors_[by_name_[i]].name;
    if (name == tensors_[by_name_[i - 1]].name) {
      throw CorruptFile(str(origin_, ": two tensors are named ", show_name(name)));
    }
  }
}

std::optional<size_t> WeightSource::index_of(std::string_view name) const {
  const auto at =
      std::lower_bound(by_name_.begin(), by_name_.end(), name,
                       [this](size_t i, std::string_view n) { return tensors_[i].name < n; });
  if (at == by_name_.end() || tensors_[*at].name != name) return std::nullopt;
  return *at;
}

const TensorInfo* WeightSource::find(std::string_view name) const {
  const auto index = index_of(name);
  return index ? &tensors_[*index] : nullptr;
}

const TensorInfo& WeightSource::info(std::string_view name) const {
  if (const TensorInfo* found = find(name)) return *found;
  std::vector<std::string_view> names;
  for (const TensorInfo& tensor : tensors_) names.push_back(tensor.name);
  const std::string_view nearest = nearest_name(name, names);
  throw Error(str(origin_, ": has no tensor ", show_name(name),
                  nearest.empty() ? str(" among its ", tensors_.size())
                                  : str("; the nearest name is ", show_name(nearest))));
}

size_t WeightSource::readable_index(std::string_view name) const {
  const TensorInfo& tensor = info(name);
  if (!tensor.dtype) {
    throw NotSupported(str(origin_, ": tensor ", show_name(name), " has type ",
                           show_name(tensor.type_name),
                           ", which this version of Corral does not read"));
  }
  return *index_of(name);
}

Tensor WeightSource::get(std::string_view name, const DevicePtr& device) const {
  return read(readable_index(name), device);
}

Tensor WeightSource::get_rows(std::string_view name, int64_t begin, int64_t end,
                              const DevicePtr& device) const {
  const size_t index = readable_index(name);
  const Shape& shape = tensors_[index].shape;
  if (shape.rank() == 0 || begin < 0 || begin > end || end > shape[0]) {
    throw ShapeError(
        str(origin_, ": rows [", begin, ", ", end, ") of tensor ", show_name(name), " ", shape));
  }
  return read_rows(index, begin, end, device);
}

Tensor WeightSource::read_rows(size_t index, int64_t begin, int64_t end,
                               const DevicePtr& device) const {
  return read(index, device).rows(begin, end);
}

Tensor map_tensor(const std::shared_ptr<const MappedFile>& file, const TensorInfo& info,
                  const DevicePtr& device) {
  const std::span<const std::byte> bytes = file->bytes().subspan(
      static_cast<size_t>(info.offset_bytes), static_cast<size_t>(info.size_bytes));
  const DType dtype = info.dtype.value();
  if (reinterpret_cast<uintptr_t>(bytes.data()) % alignment_of(dtype) != 0) {
    Tensor copy(info.shape, dtype, device);
    std::memcpy(copy.mutable_data<std::byte>(), bytes.data(), bytes.size());
    return copy;
  }
  return Tensor(Storage::borrow(device, bytes, file), 0, info.shape, dtype);
}

}  // namespace corral::io
