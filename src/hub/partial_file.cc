#include "hub/partial_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <system_error>
#include <utility>

#include "base/error.h"
#include "base/file.h"

namespace corral::hub {
namespace {

constexpr int kCreate = O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW;

IoError io_error(const char* action, const std::filesystem::path& path) {
  return IoError(
      str("cannot ", action, " ", path.string(), ": ", std::generic_category().message(errno)));
}

int open_file(const std::filesystem::path& path, int flags) {
  const int descriptor = ::open(path.c_str(), flags, 0644);
  if (descriptor < 0) throw io_error("create", path);
  return descriptor;
}

void write_all(int descriptor, const char* at, size_t bytes, int64_t offset,
               const std::filesystem::path& path) {
  while (bytes > 0) {
    const ssize_t put =
        offset < 0 ? ::write(descriptor, at, bytes) : ::pwrite(descriptor, at, bytes, offset);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) throw io_error("write", path);
    at += put;
    bytes -= static_cast<size_t>(put);
    if (offset >= 0) offset += put;
  }
}

}  // namespace

PartialFile::PartialFile(std::filesystem::path path, int64_t size_bytes, int64_t part_bytes,
                         const std::string& identity)
    : path_(std::move(path)),
      data_path_(path_.string() + ".partial"),
      parts_path_(path_.string() + ".parts"),
      size_bytes_(size_bytes),
      part_bytes_(part_bytes),
      done_(static_cast<size_t>((size_bytes + part_bytes - 1) / part_bytes), false) {
  const std::string head = str("corral parts 1 ", size_bytes, " ", part_bytes, " ", identity, "\n");
  if (!take_up(head)) begin_again(head);
}

PartialFile::~PartialFile() { close(); }

void PartialFile::close() {
  if (data_ >= 0) ::close(std::exchange(data_, -1));
  if (journal_ >= 0) ::close(std::exchange(journal_, -1));
}

bool PartialFile::take_up(const std::string& head) {
  std::error_code error;
  const auto size = std::filesystem::file_size(data_path_, error);
  if (error || size != static_cast<uintmax_t>(size_bytes_)) return false;
  if (!std::filesystem::is_regular_file(parts_path_, error)) return false;
  const std::string journal = read_file(parts_path_);
  if (!journal.starts_with(head)) return false;
  size_t begin = head.size();
  // A line without its dot was cut off by a kill: its part counts as missing.
  for (size_t end = journal.find('\n', begin); end != journal.npos;
       begin = end + 1, end = journal.find('\n', begin)) {
    int64_t part = -1;
    const char* line_end = journal.data() + end - 1;  // the dot
    const auto number = std::from_chars(journal.data() + begin, line_end, part);
    const bool is_whole = number.ec == std::errc{} && number.ptr == line_end && *line_end == '.';
    if (is_whole && part >= 0 && part < parts()) done_[static_cast<size_t>(part)] = true;
  }
  data_ = open_file(data_path_, kCreate);
  journal_ = open_file(parts_path_, kCreate | O_APPEND);
  if (begin < journal.size()) write_all(journal_, "\n", 1, -1, parts_path_);
  return true;
}

void PartialFile::begin_again(const std::string& head) {
  std::error_code ignored;  // what cannot be removed cannot be created either
  std::filesystem::remove(parts_path_, ignored);
  std::filesystem::remove(data_path_, ignored);
  data_ = open_file(data_path_, kCreate | O_TRUNC);
  if (::ftruncate(data_, size_bytes_) != 0) throw io_error("enlarge", data_path_);
  journal_ = open_file(parts_path_, kCreate | O_TRUNC | O_APPEND);
  write_all(journal_, head.data(), head.size(), -1, parts_path_);
}

int64_t PartialFile::bytes_of(int64_t part) const {
  return std::min(part_bytes_, size_bytes_ - begin_of(part));
}

int64_t PartialFile::done_bytes() const {
  int64_t bytes = 0;
  for (int64_t part = 0; part < parts(); ++part) bytes += is_done(part) ? bytes_of(part) : 0;
  return bytes;
}

void PartialFile::write(int64_t offset, const void* data, size_t bytes) {
  write_all(data_, static_cast<const char*>(data), bytes, offset, data_path_);
}

void PartialFile::mark_done(int64_t part) {
  const std::string line = str(part, ".\n");
  write_all(journal_, line.data(), line.size(), -1, parts_path_);
  done_[static_cast<size_t>(part)] = true;
}

void PartialFile::commit() {
  if (::fsync(data_) != 0) throw io_error("write", data_path_);
  close();
  if (::rename(data_path_.c_str(), path_.c_str()) != 0) throw io_error("write", path_);
  std::error_code ignored;
  std::filesystem::remove(parts_path_, ignored);
}

void PartialFile::discard() {
  close();
  std::error_code ignored;
  std::filesystem::remove(parts_path_, ignored);
  std::filesystem::remove(data_path_, ignored);
}

}  // namespace corral::hub
