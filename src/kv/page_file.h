#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <vector>

namespace corral::kv {

/// Pages on disk under a budget. Their file has no name: nobody else can read or change it, and
/// however the process ends, its space is free again. Not thread-safe.
class PageFile {
 public:
  /// Throws IoError when the folder takes no file, UsageError for a budget below 1.
  PageFile(const std::filesystem::path& folder, int64_t max_bytes);
  ~PageFile();
  PageFile(const PageFile&) = delete;
  PageFile& operator=(const PageFile&) = delete;

  /// Where a page lies.
  struct Slot {
    int64_t offset = 0;
    int64_t bytes = 0;
    uint64_t checksum = 0;
  };
  /// Absent when budget or disk have no room.
  std::optional<Slot> write(std::span<const std::byte> page);
  /// False when it cannot be read or is not what was written.
  bool read(const Slot& slot, std::span<std::byte> page) const;
  void release(const Slot& slot);

  /// Of all pages that are there.
  int64_t bytes() const { return bytes_; }
  int64_t max_bytes() const { return max_bytes_; }

 private:
  int64_t place_for(int64_t bytes);

  int descriptor_ = -1;
  int64_t max_bytes_;
  int64_t bytes_ = 0;
  int64_t end_ = 0;                                // of the file
  std::map<int64_t, std::vector<int64_t>> holes_;  // offsets, by bytes
};

}  // namespace corral::kv
