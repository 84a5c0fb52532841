#pragma once

#include <cstddef>
#include <cstdint>

#include "tensor/device.h"

namespace corral::ops {

/// Memory of the device for the length of a call.
class Scratch {
 public:
  Scratch(Device& device, int64_t size_bytes)
      : device_(device), size_bytes_(size_bytes), data_(device.allocate(size_bytes)) {}
  ~Scratch() { device_.release(data_, size_bytes_); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  std::byte* data() const { return data_; }

 private:
  Device& device_;
  int64_t size_bytes_;
  std::byte* data_;
};

}  // namespace corral::ops
