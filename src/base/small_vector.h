#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <initializer_list>
#include <memory>
#include <new>
#include <span>
#include <type_traits>
#include <utility>

namespace corral {

/// A vector of plain values of which the first kFew need no allocation: for lists that are short in
/// a decode step, where an allocation would be felt, and long in a prompt.
template <class T, size_t kFew>
class SmallVector {
  static_assert(std::is_trivially_copyable_v<T> && std::is_trivially_destructible_v<T>);
  static_assert(alignof(T) <= __STDCPP_DEFAULT_NEW_ALIGNMENT__);

 public:
  using value_type = T;
  using iterator = T*;
  using const_iterator = const T*;

  SmallVector() = default;
  explicit SmallVector(size_t size) { resize(size); }
  explicit SmallVector(std::span<const T> values) { assign(values); }
  SmallVector(std::initializer_list<T> values) : SmallVector(std::span<const T>(values)) {}
  SmallVector(const SmallVector& other) { assign(other); }
  SmallVector(SmallVector&& other) noexcept { take(other); }
  SmallVector& operator=(const SmallVector& other) {
    if (this != &other) assign(other);
    return *this;
  }
  SmallVector& operator=(SmallVector&& other) noexcept {
    if (this != &other) take(other);
    return *this;
  }
  ~SmallVector() = default;

  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  T* data() { return reinterpret_cast<T*>(many_ ? many_.get() : few_.data()); }
  const T* data() const { return reinterpret_cast<const T*>(many_ ? many_.get() : few_.data()); }
  T* begin() { return data(); }
  T* end() { return data() + size_; }
  const T* begin() const { return data(); }
  const T* end() const { return data() + size_; }
  T& operator[](size_t i) { return data()[i]; }
  const T& operator[](size_t i) const { return data()[i]; }
  T& back() { return data()[size_ - 1]; }
  const T& back() const { return data()[size_ - 1]; }

  void push_back(T value) {
    append([&] { return value; });
  }
  /// Appends what make() returns, made in its place: a large value is not copied.
  template <class Make>
  void append(const Make& make) {
    if (size_ == capacity_) reserve(2 * capacity_);
    ::new (static_cast<void*>(data() + size_)) T(make());
    ++size_;
  }
  /// New values are T().
  void resize(size_t size) {
    reserve(size);
    for (size_t i = size_; i < size; ++i) std::construct_at(data() + i, T());
    size_ = size;
  }
  void reserve(size_t capacity) {
    if (capacity <= capacity_) return;
    auto more = std::make_unique_for_overwrite<std::byte[]>(capacity * sizeof(T));
    std::uninitialized_copy_n(data(), size_, reinterpret_cast<T*>(more.get()));
    many_ = std::move(more);
    capacity_ = capacity;
  }

  friend bool operator==(const SmallVector& a, const SmallVector& b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end());
  }

 private:
  void assign(std::span<const T> values) {
    size_ = 0;
    reserve(values.size());
    std::uninitialized_copy(values.begin(), values.end(), data());
    size_ = values.size();
  }
  void take(SmallVector& other) {
    many_ = std::move(other.many_);
    capacity_ = std::exchange(other.capacity_, kFew);
    size_ = std::exchange(other.size_, 0);
    if (!many_) few_ = other.few_;  // all of them: a copy of fixed size is no call
  }

  alignas(T) std::array<std::byte, kFew * sizeof(T)> few_;
  std::unique_ptr<std::byte[]> many_;  // of all values, once they are more
  size_t capacity_ = kFew;
  size_t size_ = 0;
};

}  // namespace corral
