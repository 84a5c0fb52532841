#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "base/error.h"
#include "tensor/device.h"
#include "tensor/dtype.h"
#include "tensor/shape.h"

namespace corral {

namespace autograd {
class Node;
}

class StoragePtr;

/// Memory that tensors share. Owned memory goes back to its device; borrowed memory (a mapped file,
/// a caller's buffer) is kept alive by `keeper` and must not be written.
class Storage {
 public:
  static StoragePtr own(DevicePtr device, int64_t size_bytes);
  static StoragePtr borrow(DevicePtr device, std::span<const std::byte> bytes,
                           std::shared_ptr<const void> keeper);
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;

  std::byte* data() const { return data_; }
  int64_t size_bytes() const { return size_bytes_; }
  bool writable() const { return keeper_ == nullptr; }
  const DevicePtr& device() const { return device_; }
  /// True when there is one reference; whatever others did to the memory is then done.
  bool unshared() const { return references_.load(std::memory_order_acquire) == 1; }

 private:
  friend class StoragePtr;

  Storage(DevicePtr device, std::byte* data, int64_t size_bytes, std::shared_ptr<const void> keeper)
      : device_(std::move(device)),
        data_(data),
        size_bytes_(size_bytes),
        keeper_(std::move(keeper)) {}
  ~Storage() = default;
  /// Gives the memory back, and the storage's own.
  static void end(Storage* storage);

  void add_reference() { references_.fetch_add(1, std::memory_order_relaxed); }
  void drop_reference() {
    // The last one need not count: nobody is left who could take another.
    if (unshared() || references_.fetch_sub(1, std::memory_order_acq_rel) == 1) end(this);
  }

  std::atomic<int32_t> references_{1};
  DevicePtr device_;
  std::byte* data_;
  int64_t size_bytes_;
  std::shared_ptr<const void> keeper_;
};

/// A counted reference to a Storage, or null. Not std::shared_ptr, because a decode step makes
/// hundreds of tensors: the count lies in the storage, and a small storage in one block of its
/// device with its bytes.
class StoragePtr {
 public:
  StoragePtr() = default;
  StoragePtr(const StoragePtr& other) : storage_(other.storage_) {
    if (storage_ != nullptr) storage_->add_reference();
  }
  StoragePtr(StoragePtr&& other) noexcept : storage_(std::exchange(other.storage_, nullptr)) {}
  StoragePtr& operator=(StoragePtr other) noexcept {
    std::swap(storage_, other.storage_);
    return *this;
  }
  ~StoragePtr() {
    if (storage_ != nullptr) storage_->drop_reference();
  }

  const Storage* operator->() const { return storage_; }
  friend bool operator==(const StoragePtr&, const StoragePtr&) = default;
  friend bool operator==(const StoragePtr& a, std::nullptr_t) { return a.storage_ == nullptr; }

 private:
  friend class Storage;
  explicit StoragePtr(Storage* storage) : storage_(storage) {}

  Storage* storage_ = nullptr;
};

/// A dense row-major array on a device, cheap to copy (copies share memory). Always contiguous: a
/// view is the same values under another shape, or a run of whole rows. Nobody writes into a tensor
/// that is on a tape; only optimizers, gradient accumulators and the KV cache write in place at
/// all. A default-made tensor is empty: defined() is false.
class Tensor {
 public:
  Tensor() = default;
  /// Uninitialised.
  Tensor(const Shape& shape, DType dtype, const DevicePtr& device);
  /// A window on `storage`, offset_bytes from its start; throws ShapeError if it does not fit.
  Tensor(StoragePtr storage, int64_t offset_bytes, const Shape& shape, DType dtype);

  static Tensor zeros(const Shape& shape, DType dtype, const DevicePtr& device);
  /// Copies host values; the count must be the shape's.
  static Tensor from(std::span<const float> values, const Shape& shape, const DevicePtr& device);
  static Tensor from(std::span<const int32_t> values, const Shape& shape, const DevicePtr& device);

  bool defined() const { return storage_ != nullptr; }
  const Shape& shape() const { return shape_; }
  int rank() const { return shape_.rank(); }
  int64_t dim(int axis) const { return shape_[axis]; }
  int64_t numel() const { return shape_.numel(); }
  DType dtype() const { return dtype_; }
  int64_t size_bytes() const { return bytes_of(dtype_, numel()); }
  const DevicePtr& device() const { return storage_->device(); }

  /// Typed access: T is float for kF32, uint16_t for kF16 and kBF16, int32_t, int64_t, uint8_t, and
  /// std::byte for any dtype. Throws Error when T does not match.
  template <class T>
  const T* data() const {
    check_access(dtype_matches<T>(), false);
    return reinterpret_cast<const T*>(bytes());
  }
  /// The same for writing; throws also when the memory is borrowed.
  template <class T>
  T* mutable_data() {
    check_access(dtype_matches<T>(), true);
    return reinterpret_cast<T*>(bytes());
  }
  template <class T>
  std::span<const T> values() const {
    return {data<T>(), static_cast<size_t>(numel())};
  }

  /// The same values under another shape of equal size; shares memory and tape node.
  Tensor view(const Shape& shape) const& { return Tensor(*this).view(shape); }
  Tensor view(const Shape& shape) &&;
  /// Rows [begin, end) of the first axis, sharing memory; not on the tape.
  Tensor rows(int64_t begin, int64_t end) const;
  /// The same values, off the tape.
  Tensor detach() const& { return Tensor(*this).detach(); }
  Tensor detach() &&;
  /// A copy in fresh memory, off the tape.
  Tensor clone() const;

  /// The tape node whose value this is; null when no gradient flows here (autograd/tape.h).
  const std::shared_ptr<autograd::Node>& node() const { return node_; }
  void set_node(std::shared_ptr<autograd::Node> node) { node_ = std::move(node); }

  /// True when no other tensor shares this memory.
  bool sole_owner() const { return defined() && storage_->unshared() && storage_->writable(); }
  const StoragePtr& storage() const { return storage_; }

 private:
  template <class T>
  bool dtype_matches() const;
  void check_access(bool dtype_matches, bool write) const {
    if (!defined() || !dtype_matches || (write && !storage_->writable()))
      fail_access(dtype_matches);
  }
  [[noreturn]] void fail_access(bool dtype_matches) const;
  std::byte* bytes() const { return storage_->data() + offset_bytes_; }

  StoragePtr storage_;
  int64_t offset_bytes_ = 0;
  Shape shape_{0};
  DType dtype_ = DType::kF32;
  std::shared_ptr<autograd::Node> node_;
};

template <class T>
bool Tensor::dtype_matches() const {
  if constexpr (std::is_same_v<T, float>) return dtype_ == DType::kF32;
  if constexpr (std::is_same_v<T, uint16_t>) return dtype_ == DType::kF16 || dtype_ == DType::kBF16;
  if constexpr (std::is_same_v<T, int32_t>) return dtype_ == DType::kI32;
  if constexpr (std::is_same_v<T, int64_t>) return dtype_ == DType::kI64;
  if constexpr (std::is_same_v<T, uint8_t>) return dtype_ == DType::kU8;
  return std::is_same_v<T, std::byte>;
}

/// Uninitialised, like x in shape, dtype and device.
Tensor empty_like(const Tensor& x);

/// Values of a kF32, kF16 or kBF16 tensor as kF32 (the tensor itself if it is); off the tape.
Tensor to_f32(const Tensor& x);

}  // namespace corral
