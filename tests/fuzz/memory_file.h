#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>

namespace corral::test {

/// Bytes as a file that lives in memory, for readers that take a path.
class MemoryFile {
 public:
  MemoryFile(const uint8_t* data, size_t size_bytes) : descriptor_(::memfd_create("fuzz", 0)) {
    if (descriptor_ < 0) __builtin_trap();
    if (::write(descriptor_, data, size_bytes) != static_cast<ssize_t>(size_bytes))
      __builtin_trap();
  }
  ~MemoryFile() { ::close(descriptor_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;

  std::filesystem::path path() const { return "/proc/self/fd/" + std::to_string(descriptor_); }

 private:
  int descriptor_;
};

}  // namespace corral::test
