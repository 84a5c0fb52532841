#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace corral {

/// A whole file mapped read-only, in large pages where the system makes them of files. Opening
/// touches no page; an empty file maps to an empty span.
class MappedFile {
 public:
  /// Throws IoError (path and reason) when the file cannot be opened or is not a regular file.
  static std::shared_ptr<const MappedFile> open(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  const std::filesystem::path& path() const { return path_; }

  /// Gives back the memory that holds what was read so far; it is read again when it is touched.
  void forget_pages() const;

 private:
  MappedFile() = default;
  std::filesystem::path path_;
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

/// Reads a small text file whole. Throws IoError, also when it is larger than max_bytes.
std::string read_file(const std::filesystem::path& path, int64_t max_bytes = int64_t{1} << 30);

/// A file that appears under its name only when complete: written beside as NAME.partial, flushed
/// to disk and renamed by commit(). Destroyed without commit(), it leaves nothing behind.
class AtomicFile {
 public:
  /// Throws IoError when NAME.partial cannot be created.
  explicit AtomicFile(std::filesystem::path path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  /// Appends; throws IoError naming the path ("no space left on device").
  void write(const void* data, size_t size_bytes);
  void write(std::string_view text) { write(text.data(), text.size()); }
  /// The same past the system's cache, where the file system can: data, size and position must be
  /// multiples of kBlockBytes. For files too large to stay in the cache anyway, which would only
  /// push out what is being read, and cost a copy.
  void write_past_cache(const void* data, size_t size_bytes);
  static constexpr size_t kBlockBytes = 4096;

  int64_t position_bytes() const { return position_; }
  /// fsync, rename, fsync of the folder. Throws IoError.
  void commit();

 private:
  enum class Cache : uint8_t { kUsed, kPassed, kNeeded };  // kNeeded: it cannot be passed

  void set_cache(Cache cache);
  /// What write(2) takes at once.
  int64_t put(const std::byte* data, size_t size_bytes);

  std::filesystem::path path_;
  std::filesystem::path partial_;
  int descriptor_ = -1;
  Cache cache_ = Cache::kUsed;
  int64_t position_ = 0;
};

/// Writes a whole small file atomically.
void write_file_atomically(const std::filesystem::path& path, std::string_view text);

}  // namespace corral
