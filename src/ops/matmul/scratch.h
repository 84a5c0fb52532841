#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "tensor/device.h"

namespace corral::ops {

/// Memory for the length of a call, aligned to 64 bytes: a little lies in the object itself, more
/// is the device's.
class Scratch {
 public:
  Scratch(Device& device, int64_t size_bytes)
      : device_(device),
        size_bytes_(size_bytes),
        data_(is_near() ? near_.data() : device.allocate(size_bytes)) {}
  ~Scratch() {
    if (!is_near()) device_.release(data_, size_bytes_);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  std::byte* data() const { return data_; }

 private:
  static constexpr int64_t kNearBytes = 4096;
  bool is_near() const { return size_bytes_ <= kNearBytes; }

  alignas(64) std::array<std::byte, kNearBytes> near_;
  Device& device_;
  int64_t size_bytes_;
  std::byte* data_;
};

}  // namespace corral::ops
