#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "tensor/tensor.h"

namespace corral::io {

/// What a file says about one of its tensors.
struct TensorInfo {
  std::string name;
  std::optional<DType> dtype;  // empty: a type that Corral lists but does not read
  std::string type_name;       // as the format spells it: "BF16", "Q4_K", "F8_E4M3"
  Shape shape;                 // outermost axis first, whatever the order in the file
  int64_t offset_bytes = 0;    // of its data, from the start of the file
  int64_t size_bytes = 0;      // -1: of a type whose size is unknown
};

/// Named tensors on disk. Opening reads headers only; get() hands out views of mapped memory.
/// Reading is thread-safe.
class WeightSource {
 public:
  virtual ~WeightSource() = default;
  WeightSource(const WeightSource&) = delete;
  WeightSource& operator=(const WeightSource&) = delete;

  /// The file or folder, as messages name it.
  const std::string& origin() const { return origin_; }
  /// In the order of the file.
  const std::vector<TensorInfo>& tensors() const { return tensors_; }
  bool has(std::string_view name) const { return find(name) != nullptr; }
  /// Null when there is no such tensor.
  const TensorInfo* find(std::string_view name) const;
  /// Throws Error, naming the file and the nearest name, when there is no such tensor.
  const TensorInfo& info(std::string_view name) const;

  /// The tensor as it lies in the file, without copying; read-only, and alive as long as anybody
  /// holds it. Copies only when the file puts the data where the element type may not lie.
  /// Throws Error as info() does, and NotSupported for a type that Corral does not read.
  Tensor get(std::string_view name, const DevicePtr& device) const;
  /// Rows [begin, end) of the first axis of that tensor. Where a source has to put a tensor
  /// together, only these. Throws ShapeError when there are no such rows, else as get().
  Tensor get_rows(std::string_view name, int64_t begin, int64_t end, const DevicePtr& device) const;

  /// Gives back the memory that holds what was read of the files so far; it is read again when it
  /// is touched. For work that goes through a whole model once.
  virtual void forget_pages() const {}

 protected:
  /// Throws CorruptFile when two tensors have the same name.
  WeightSource(std::string origin, std::vector<TensorInfo> tensors);

  /// The data of tensors()[index]; its dtype is known.
  virtual Tensor read(size_t index, const DevicePtr& device) const = 0;
  /// Rows of it, which exist.
  virtual Tensor read_rows(size_t index, int64_t begin, int64_t end, const DevicePtr& device) const;

 private:
  std::optional<size_t> index_of(std::string_view name) const;
  size_t readable_index(std::string_view name) const;

  std::string origin_;
  std::vector<TensorInfo> tensors_;
  std::vector<size_t> by_name_;  // sorted: a hash table could be attacked with chosen names
};

/// The view that WeightSource::get() promises. The caller has checked that the data lies in the
/// file.
Tensor map_tensor(const std::shared_ptr<const MappedFile>& file, const TensorInfo& info,
                  const DevicePtr& device);

}  // namespace corral::io
