#include "base/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

#include "base/error.h"

namespace corral {
namespace {

IoError io_error(const char* action, const std::filesystem::path& path) {
  const int reason = errno;
  return IoError(
      str("cannot ", action, " ", path.string(), ": ", std::generic_category().message(reason)));
}

// Without O_NONBLOCK, opening a pipe nobody writes to would hang before we can refuse it.
constexpr int kRead = O_RDONLY | O_CLOEXEC | O_NONBLOCK;

// Writes from this size on are given to the disk at once.
constexpr int64_t kFlushBytes = int64_t{1} << 20;

struct Descriptor {
  int value;
  ~Descriptor() {
    if (value >= 0) ::close(value);
  }
};

int64_t regular_file_size(int descriptor, const std::filesystem::path& path) {
  struct stat info {};
  if (::fstat(descriptor, &info) != 0) throw io_error("inspect", path);
  if (!S_ISREG(info.st_mode)) {
    throw IoError(str("cannot read ", path.string(), ": not a regular file"));
  }
  return info.st_size;
}

void sync_folder(const std::filesystem::path& file) {
  const std::filesystem::path folder = file.has_parent_path() ? file.parent_path() : ".";
  const Descriptor descriptor{::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  // Some file systems cannot sync a folder; the rename is then as durable as they make it.
  if (descriptor.value >= 0) ::fsync(descriptor.value);
}

}  // namespace

std::shared_ptr<const MappedFile> MappedFile::open(const std::filesystem::path& path) {
  const Descriptor descriptor{::open(path.c_str(), kRead)};
  if (descriptor.value < 0) throw io_error("open", path);
  const int64_t size = regular_file_size(descriptor.value, path);
  std::shared_ptr<MappedFile> file(new MappedFile());
  file->path_ = path;
  if (size == 0) return file;
  void* data =
      ::mmap(nullptr, static_cast<size_t>(size), PROT_READ, MAP_SHARED, descriptor.value, 0);
  if (data == MAP_FAILED) throw io_error("map", path);
  // Where Linux can make large pages of this file, it reads them whole and finds them faster;
  // elsewhere it says no, or nothing.
  ::madvise(data, static_cast<size_t>(size), MADV_HUGEPAGE);
  file->data_ = static_cast<const std::byte*>(data);
  file->size_ = static_cast<size_t>(size);
  return file;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

void MappedFile::forget_pages() const {
  if (data_ != nullptr) ::madvise(const_cast<std::byte*>(data_), size_, MADV_DONTNEED);
}

std::string read_file(const std::filesystem::path& path, int64_t max_bytes) {
  const Descriptor descriptor{::open(path.c_str(), kRead)};
  if (descriptor.value < 0) throw io_error("open", path);
  const int64_t size = regular_file_size(descriptor.value, path);
  if (size > max_bytes) {
    throw IoError(str("cannot read ", path.string(), ": ", size, " bytes, more than the limit of ",
                      max_bytes));
  }
  std::string text(static_cast<size_t>(size), '\0');
  size_t done = 0;
  while (done < text.size()) {
    const ssize_t got = ::read(descriptor.value, text.data() + done, text.size() - done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw io_error("read", path);
    if (got == 0) break;
    done += static_cast<size_t>(got);
  }
  text.resize(done);
  return text;
}

AtomicFile::AtomicFile(std::filesystem::path path) : path_(std::move(path)) {
  partial_ = path_;
  partial_ += ".partial";
  descriptor_ = ::open(partial_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (descriptor_ < 0) throw io_error("create", partial_);
}

AtomicFile::~AtomicFile() {
  if (descriptor_ < 0) return;
  ::close(descriptor_);
  ::unlink(partial_.c_str());
}

void AtomicFile::set_cache(Cache cache) {
  const int flags = ::fcntl(descriptor_, F_GETFL);
  const int wanted = cache == Cache::kPassed ? flags | O_DIRECT : flags & ~O_DIRECT;
  cache_ = flags >= 0 && ::fcntl(descriptor_, F_SETFL, wanted) == 0 ? cache : Cache::kNeeded;
}

int64_t AtomicFile::put(const std::byte* data, size_t size_bytes) {
  ssize_t bytes = -1;
  do {
    bytes = ::write(descriptor_, data, size_bytes);
  } while (bytes < 0 && errno == EINTR);
  if (bytes > 0) position_ += bytes;
  return bytes;
}

void AtomicFile::write(const void* data, size_t size_bytes) {
  if (cache_ == Cache::kPassed) set_cache(Cache::kUsed);
  const auto* at = static_cast<const std::byte*>(data);
  const int64_t begin = position_;
  while (size_bytes > 0) {
    const int64_t bytes = put(at, size_bytes);
    if (bytes < 0) throw io_error("write", partial_);
    at += bytes;
    size_bytes -= static_cast<size_t>(bytes);
  }
  // Lets the disk begin, so that commit() finds little left to wait for. Only a hint: commit()
  // writes what it misses and reports what fails.
  if (position_ - begin >= kFlushBytes) {
    ::sync_file_range(descriptor_, begin, position_ - begin, SYNC_FILE_RANGE_WRITE);
  }
}

void AtomicFile::write_past_cache(const void* data, size_t size_bytes) {
  const auto* at = static_cast<const std::byte*>(data);
  if (cache_ == Cache::kUsed) set_cache(Cache::kPassed);
  while (size_bytes > 0 && cache_ == Cache::kPassed) {
    const int64_t bytes = put(at, size_bytes);
    // EINVAL: the disk has larger blocks, or the file system takes the flag but no such writes.
    if (bytes < 0 && errno != EINVAL) throw io_error("write", partial_);
    if (bytes < 0 || bytes % static_cast<int64_t>(kBlockBytes) != 0) set_cache(Cache::kNeeded);
    at += std::max<int64_t>(bytes, 0);
    size_bytes -= static_cast<size_t>(std::max<int64_t>(bytes, 0));
  }
  if (size_bytes > 0) write(at, size_bytes);
}

void AtomicFile::commit() {
  if (::fsync(descriptor_) != 0) throw io_error("write", partial_);
  if (::close(std::exchange(descriptor_, -1)) != 0 ||
      ::rename(partial_.c_str(), path_.c_str()) != 0) {
    const int reason = errno;
    ::unlink(partial_.c_str());
    errno = reason;
    throw io_error("write", path_);
  }
  sync_folder(path_);
}

void write_file_atomically(const std::filesystem::path& path, std::string_view text) {
  AtomicFile file(path);
  file.write(text);
  file.commit();
}

}  // namespace corral
