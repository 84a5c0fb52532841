#include "base/streamed_file.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <utility>

namespace corral {
namespace {

// Beside the one that is being filled and the one that is being written.
constexpr size_t kWaiting = 2;

}  // namespace

void StreamedFile::Free::operator()(std::byte* memory) const {
  ::operator delete[](memory, std::align_val_t{AtomicFile::kBlockBytes});
}

StreamedFile::StreamedFile(std::filesystem::path path, size_t buffer_bytes, int64_t cached_bytes)
    : file_(std::move(path)),
      buffer_bytes_(std::max<size_t>(1, buffer_bytes)),
      cached_bytes_(cached_bytes) {}

StreamedFile::~StreamedFile() {
  {
    const std::lock_guard lock(mutex_);
    full_.clear();
  }
  stop();
}

void StreamedFile::write(const void* data, size_t size_bytes) {
  const auto* at = static_cast<const std::byte*>(data);
  while (size_bytes > 0) {
    if (filling_.data == nullptr) {
      filling_.data.reset(new (std::align_val_t{AtomicFile::kBlockBytes}) std::byte[buffer_bytes_]);
    }
    const size_t n = std::min(size_bytes, buffer_bytes_ - filling_.size_bytes);
    std::memcpy(filling_.data.get() + filling_.size_bytes, at, n);
    filling_.size_bytes += n;
    at += n;
    size_bytes -= n;
    position_ += static_cast<int64_t>(n);
    if (filling_.size_bytes == buffer_bytes_) hand_over();
  }
}

void StreamedFile::hand_over() {
  if (!writer_.joinable()) writer_ = std::thread([this] { write_buffers(); });
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return full_.size() < kWaiting || failure_ != nullptr; });
  if (failure_ != nullptr) std::rethrow_exception(failure_);
  full_.push_back(std::exchange(filling_, {}));
  if (!empty_.empty()) {
    filling_ = std::move(empty_.back());
    empty_.pop_back();
  }
  changed_.notify_all();
}

void StreamedFile::write_buffers() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [&] { return !full_.empty() || last_; });
    if (full_.empty()) return;
    Buffer buffer = std::move(full_.front());
    full_.pop_front();
    changed_.notify_all();
    lock.unlock();
    std::exception_ptr failure;
    try {
      write_out(buffer);
    } catch (...) {
      failure = std::current_exception();
    }
    buffer.size_bytes = 0;
    lock.lock();
    empty_.push_back(std::move(buffer));
    if (failure == nullptr) continue;
    failure_ = failure;
    changed_.notify_all();
    return;
  }
}

void StreamedFile::write_out(const Buffer& buffer) {
  // Full buffers begin at multiples of their size.
  const bool fits = buffer_bytes_ % AtomicFile::kBlockBytes == 0;
  if (fits && buffer.size_bytes == buffer_bytes_ && file_.position_bytes() >= cached_bytes_) {
    file_.write_past_cache(buffer.data.get(), buffer.size_bytes);
  } else {
    file_.write(buffer.data.get(), buffer.size_bytes);
  }
}

void StreamedFile::stop() {
  if (!writer_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    last_ = true;
    changed_.notify_all();
  }
  writer_.join();
}

void StreamedFile::commit() {
  stop();
  if (failure_ != nullptr) std::rethrow_exception(failure_);
  write_out(filling_);
  file_.commit();
}

}  // namespace corral
