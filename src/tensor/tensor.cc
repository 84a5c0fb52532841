#include "tensor/tensor.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <utility>

namespace corral {
namespace {

// Where the bytes of a small storage begin: behind the storage, as aligned as the block is.
constexpr int64_t kHeaderBytes = 64;
static_assert(sizeof(Storage) <= kHeaderBytes);
// Of the larger ones an allocation more does not matter, but a block could become an eighth larger.
constexpr int64_t kMostInOneBlock = 4096;

bool in_one_block(int64_t size_bytes) { return size_bytes <= kMostInOneBlock - kHeaderBytes; }

}  // namespace

StoragePtr Storage::own(DevicePtr device, int64_t size_bytes) {
  if (in_one_block(size_bytes)) {
    std::byte* block = device->allocate(kHeaderBytes + size_bytes);
    std::byte* data = block + kHeaderBytes;
    return StoragePtr(new (block) Storage(std::move(device), data, size_bytes, nullptr));
  }
  std::byte* data = device->allocate(size_bytes);
  return StoragePtr(new Storage(std::move(device), data, size_bytes, nullptr));
}

StoragePtr Storage::borrow(DevicePtr device, std::span<const std::byte> bytes,
                           std::shared_ptr<const void> keeper) {
  if (keeper == nullptr) throw Error("borrowed storage needs something that keeps it alive");
  // Read-only by contract: mutable_data() refuses, so the cast never leads to a write.
  auto* data = const_cast<std::byte*>(bytes.data());
  const auto size_bytes = static_cast<int64_t>(bytes.size());
  return StoragePtr(new Storage(std::move(device), data, size_bytes, std::move(keeper)));
}

void Storage::end(Storage* storage) {
  if (!storage->writable() || !in_one_block(storage->size_bytes_)) {
    if (storage->writable()) storage->device_->release(storage->data_, storage->size_bytes_);
    delete storage;
    return;
  }
  const int64_t block_bytes = kHeaderBytes + storage->size_bytes_;
  const DevicePtr device = std::move(storage->device_);  // outlives the block
  storage->~Storage();
  device->release(reinterpret_cast<std::byte*>(storage), block_bytes);
}

Tensor::Tensor(const Shape& shape, DType dtype, const DevicePtr& device)
    : storage_(Storage::own(device, bytes_of(dtype, shape.numel()))),
      shape_(shape),
      dtype_(dtype) {}

Tensor::Tensor(StoragePtr storage, int64_t offset_bytes, const Shape& shape, DType dtype)
    : storage_(std::move(storage)), offset_bytes_(offset_bytes), shape_(shape), dtype_(dtype) {
  const int64_t needs = bytes_of(dtype, shape.numel());
  if (offset_bytes < 0 || offset_bytes > storage_->size_bytes() ||
      needs > storage_->size_bytes() - offset_bytes) {
    throw ShapeError(str("tensor ", shape, " of ", dtype, " needs ", needs, " bytes at offset ",
                         offset_bytes, ", its memory has ", storage_->size_bytes()));
  }
}

Tensor Tensor::zeros(const Shape& shape, DType dtype, const DevicePtr& device) {
  Tensor x(shape, dtype, device);
  std::byte* bytes = x.bytes();
  device->threads().parallel_for(x.size_bytes(), 1 << 18, [bytes](int64_t begin, int64_t end) {
    std::memset(bytes + begin, 0, static_cast<size_t>(end - begin));
  });
  return x;
}

Tensor Tensor::from(std::span<const float> values, const Shape& shape, const DevicePtr& device) {
  Tensor x(shape, DType::kF32, device);
  if (static_cast<int64_t>(values.size()) != x.numel()) {
    throw ShapeError(str("tensor ", shape, " from ", values.size(), " values"));
  }
  std::copy(values.begin(), values.end(), x.mutable_data<float>());
  return x;
}

Tensor Tensor::from(std::span<const int32_t> values, const Shape& shape, const DevicePtr& device) {
  Tensor x(shape, DType::kI32, device);
  if (static_cast<int64_t>(values.size()) != x.numel()) {
    throw ShapeError(str("tensor ", shape, " from ", values.size(), " values"));
  }
  std::copy(values.begin(), values.end(), x.mutable_data<int32_t>());
  return x;
}

void Tensor::fail_access(bool dtype_matches) const {
  if (!defined()) throw Error("access to an empty tensor");
  if (!dtype_matches)
    throw Error(str("tensor ", shape_, " holds ", dtype_, ", not the type asked for"));
  throw Error(str("tensor ", shape_, " is read-only memory"));
}

Tensor Tensor::view(const Shape& shape) && {
  if (shape.numel() != numel()) throw ShapeError(str("view of ", shape_, " as ", shape));
  shape_ = shape;
  return std::move(*this);
}

Tensor Tensor::rows(int64_t begin, int64_t end) const {
  if (rank() == 0 || begin < 0 || begin > end || end > dim(0)) {
    throw ShapeError(str("rows [", begin, ", ", end, ") of ", shape_));
  }
  const int64_t row = dim(0) == 0 ? 0 : numel() / dim(0);
  std::vector<int64_t> dims(shape_.dims().begin(), shape_.dims().end());
  dims[0] = end - begin;
  return Tensor(storage_, offset_bytes_ + bytes_of(dtype_, begin * row), Shape(dims), dtype_);
}

Tensor Tensor::detach() && {
  node_ = nullptr;
  return std::move(*this);
}

Tensor Tensor::clone() const {
  Tensor y(shape_, dtype_, device());
  std::memcpy(y.bytes(), bytes(), static_cast<size_t>(size_bytes()));
  return y;
}

Tensor empty_like(const Tensor& x) { return Tensor(x.shape(), x.dtype(), x.device()); }

Tensor to_f32(const Tensor& x) {
  if (x.dtype() == DType::kF32) return x.detach();
  if (x.dtype() != DType::kF16 && x.dtype() != DType::kBF16) {
    throw NotSupported(str("conversion of ", x.dtype(), " to f32: needs f16 or bf16"));
  }
  Tensor y(x.shape(), DType::kF32, x.device());
  const auto* from = x.data<uint16_t>();
  auto* to = y.mutable_data<float>();
  const bool half = x.dtype() == DType::kF16;
  x.device()->threads().parallel_for(x.numel(), 1 << 14, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) to[i] = half ? f16_to_f32(from[i]) : bf16_to_f32(from[i]);
  });
  return y;
}

}  // namespace corral
