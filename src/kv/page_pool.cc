#include "kv/page_pool.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace corral::kv {

PagePool::PagePool(int64_t page_bytes, DevicePtr device)
    : page_bytes_(page_bytes), device_(std::move(device)) {}

// Gives a slab memory and lists its slots as free. A pool that is small yet takes one page at a
// time.
void PagePool::fill_free() {
  if (empty_.empty()) {
    const bool large = bytes_in_use() >= kSlabBytes;
    const int64_t pages = large ? std::max<int64_t>(1, kSlabBytes / page_bytes_) : 1;
    const auto first = static_cast<int64_t>(slots_.size());
    const auto index = static_cast<int64_t>(slabs_.size());
    slabs_.push_back({.memory = {}, .first = first, .pages = pages});
    slots_.resize(slots_.size() + static_cast<size_t>(pages), {.slab = index});
    empty_.push_back(index);
  }
  Slab& filled = slab(empty_.back());
  filled.memory = Storage::own(device_, filled.pages * page_bytes_);
  empty_.pop_back();
  // The first is taken first.
  for (int64_t i = filled.pages; i-- > 0;) {
    slot(filled.first + i).memory = filled.memory->data() + i * page_bytes_;
    free_.push_back(filled.first + i);
  }
}

int64_t PagePool::acquire_raw() {
  if (free_.empty()) fill_free();
  const int64_t page = free_.back();
  free_.pop_back();
  slot(page).references = 1;
  ++slab(slot(page).slab).used;
  ++used_;
  return page;
}

int64_t PagePool::acquire() {
  const int64_t page = acquire_raw();
  std::memset(data(page), 0, static_cast<size_t>(page_bytes_));
  return page;
}

int64_t PagePool::acquire_copy(int64_t page) {
  const int64_t copy = acquire_raw();
  std::memcpy(data(copy), data(page), static_cast<size_t>(page_bytes_));
  return copy;
}

void PagePool::drop_reference(int64_t page) {
  if (--slot(page).references > 0) return;
  --used_;
  free_.push_back(page);
  const int64_t index = slot(page).slab;
  Slab& of_page = slab(index);
  if (--of_page.used > 0) return;
  std::erase_if(free_, [&](int64_t free) { return slot(free).slab == index; });
  of_page.memory = {};
  empty_.push_back(index);
}

}  // namespace corral::kv
