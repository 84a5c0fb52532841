#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "tensor/tensor.h"

namespace corral::kv {

/// Pages of one size, counted by reference. Small pages are cut from slabs, so that a long context
/// lies in huge pages of the operating system; a slab whose pages nobody needs gives its memory
/// back to the device. Not thread-safe.
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
  std::byte* data(int64_t page) const { return slot(page).memory; }
  int64_t page_bytes() const { return page_bytes_; }
  /// Of pages with references. Slabs take at most kSlabBytes more, and what lies between pages that
  /// are in use.
  int64_t bytes_in_use() const { return used_ * page_bytes_; }

  static constexpr int64_t kSlabBytes = int64_t{8} << 20;

 private:
  struct Slot {
    std::byte* memory = nullptr;
    int64_t slab = 0;
    int64_t references = 0;
  };
  /// Consecutive slots; without memory while none is in use.
  struct Slab {
    StoragePtr memory;
    int64_t first = 0;
    int64_t pages = 0;
    int64_t used = 0;
  };
  Slot& slot(int64_t page) { return slots_[static_cast<size_t>(page)]; }
  const Slot& slot(int64_t page) const { return slots_[static_cast<size_t>(page)]; }
  Slab& slab(int64_t index) { return slabs_[static_cast<size_t>(index)]; }
  int64_t acquire_raw();
  void fill_free();

  int64_t page_bytes_;
  DevicePtr device_;
  std::vector<Slot> slots_;
  std::vector<Slab> slabs_;
  std::vector<int64_t> free_;   // slots of slabs with memory
  std::vector<int64_t> empty_;  // slabs without memory
  int64_t used_ = 0;
};

}  // namespace corral::kv
