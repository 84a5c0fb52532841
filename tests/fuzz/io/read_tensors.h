#pragma once

#include "tensor/tensor.h"

namespace corral::test {

/// Touches every byte of every tensor of a known type.
template <class File>
void read_tensors(const File& file) {
  const DevicePtr device = Device::cpu({.threads = 1});
  for (const auto& tensor : file.tensors()) {
    if (tensor.dtype) file.get(tensor.name, device).clone();
  }
}

}  // namespace corral::test
