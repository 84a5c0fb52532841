#include "kv/page_pool.h"

#include <cstring>
#include <utility>

namespace corral::kv {

PagePool::PagePool(int64_t page_bytes, DevicePtr device)
    : page_bytes_(page_bytes), device_(std::move(device)) {}

int64_t PagePool::acquire_raw() {
  std::shared_ptr<Storage> memory = Storage::own(device_, page_bytes_);
  if (free_.empty()) {
    slots_.emplace_back();
    free_.push_back(static_cast<int64_t>(slots_.size()) - 1);
  }
  const int64_t page = free_.back();
  free_.pop_back();
  slot(page) = {.memory = std::move(memory), .references = 1};
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
  slot(page).memory.reset();
  free_.push_back(page);
  --used_;
}

}  // namespace corral::kv
