#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "tensor/tensor.h"

namespace corral::kv {

/// Pages of one size, counted by reference. A page without references gives its memory back to the
/// device. Not thread-safe.
class PagePool {
 public:
  PagePool(int64_t page_bytes, DevicePtr device);

  /// A page of zeros with one reference. Throws Error when the device has no memory.
  int64_t acquire();
  /// The same with the content of `page`.
  int64_t acquire_copy(int64_t page);
  void add_reference(int64_t page) { ++slot(page).references; }
  void drop_reference(int64_t page);

  int64_t references(int64_t page) const { return slot(page).references; }
  std::byte* data(int64_t page) const { return slot(page).memory->data(); }
  int64_t page_bytes() const { return page_bytes_; }
  int64_t bytes_in_use() const { return used_ * page_bytes_; }

 private:
  struct Slot {
    std::shared_ptr<Storage> memory;
    int64_t references = 0;
  };
  Slot& slot(int64_t page) { return slots_[static_cast<size_t>(page)]; }
  const Slot& slot(int64_t page) const { return slots_[static_cast<size_t>(page)]; }
  int64_t acquire_raw();

  int64_t page_bytes_;
  DevicePtr device_;
  std::vector<Slot> slots_;
  std::vector<int64_t> free_;
  int64_t used_ = 0;
};

}  // namespace corral::kv
