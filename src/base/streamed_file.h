#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string_view>
#include <thread>
#include <vector>

#include "base/file.h"

namespace corral {

/// An AtomicFile for large files: a thread of its own writes them, so that the disk is busy while
/// the caller reads and computes what comes next. At most four buffers are in memory; a file that
/// fits into the first starts no thread. What a file has beyond cached_bytes goes past the system's
/// cache. For one caller at a time.
class StreamedFile {
 public:
  static constexpr size_t kBufferBytes = size_t{8} << 20;
  static constexpr int64_t kCachedBytes = int64_t{1} << 30;

  /// Throws IoError when the file cannot be created.
  explicit StreamedFile(std::filesystem::path path, size_t buffer_bytes = kBufferBytes,
                        int64_t cached_bytes = kCachedBytes);
  /// Leaves nothing behind unless committed.
  ~StreamedFile();
  StreamedFile(const StreamedFile&) = delete;
  StreamedFile& operator=(const StreamedFile&) = delete;

  /// Appends a copy; waits while all buffers are full. Throws IoError, perhaps of bytes that an
  /// earlier call brought.
  void write(const void* data, size_t size_bytes);
  void write(std::string_view text) { write(text.data(), text.size()); }
  /// Bytes appended, written or waiting.
  int64_t position_bytes() const { return position_; }
  /// Waits until all is written; then as AtomicFile::commit().
  void commit();

 private:
  struct Free {
    void operator()(std::byte* memory) const;
  };
  struct Buffer {
    std::unique_ptr<std::byte[], Free> data;  // where a write past the cache needs it to be
    size_t size_bytes = 0;
  };

  void hand_over();
  void write_buffers();
  void write_out(const Buffer& buffer);
  void stop();

  AtomicFile file_;
  size_t buffer_bytes_;
  int64_t cached_bytes_;
  int64_t position_ = 0;
  Buffer filling_;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Buffer> full_;    // guarded by mutex_, as all below
  std::vector<Buffer> empty_;  // to be filled again
  bool last_ = false;          // no more will come
  std::exception_ptr failure_;
  std::thread writer_;  // started with the first full buffer
};

}  // namespace corral
