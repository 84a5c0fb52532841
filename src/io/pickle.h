#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tensor/dtype.h"

namespace corral::io {

/// A tensor as a torch checkpoint describes it: a strided view of a storage, which is a file of the
/// archive. Numbers are as they stand in the pickle: unchecked.
struct PickledTensor {
  std::string name;
  DType dtype = DType::kF32;
  std::string_view type_name;  // "BF16"
  bool readable = true;        // false: a type that Corral lists by size only
  int64_t element_bytes = 4;
  std::string storage;  // key of the storage
  int64_t storage_elements = 0;
  int64_t offset_elements = 0;
  std::vector<int64_t> sizes;
  std::vector<int64_t> strides;
};

/// The tensors of a pickled state dict: a dict whose keys are names, as torch.save writes it with
/// protocol 2 to 5. Values that are no tensors (Transformer Engine's _extra_state) are passed over.
///
/// Nothing is executed: the pickle's calls are matched against a short list of constructors (of
/// tensors, storages, ordered dicts and byte buffers) and anything else is refused with
/// NotSupported, naming it. Nothing recurses, and work and memory are proportional to the pickle's
/// length, which is at most kMaxPickleBytes. Throws CorruptFile for what is no such pickle; `what`
/// is the file's name for messages.
std::vector<PickledTensor> read_pickled_tensors(std::span<const std::byte> pickle,
                                                const std::string& what);

/// Ten times what a model of two thousand tensors needs; sixty times as much memory is the worst
/// that a hostile pickle can make of it.
inline constexpr int64_t kMaxPickleBytes = int64_t{4} << 20;

}  // namespace corral::io
