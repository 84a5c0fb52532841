#include "kv/page_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <system_error>

#include "base/error.h"
#include "base/fingerprint.h"

namespace corral::kv {
namespace {

// Whole blocks of file systems, so that a hole gives all of its space back.
constexpr int64_t kAlignment = 4096;

int open_nameless(const std::filesystem::path& folder) {
  const int direct = ::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (direct >= 0) return direct;
  // Not every file system knows O_TMPFILE.
  std::string name = (folder / "corral-kv-XXXXXX").string();
  const int named = ::mkostemp(name.data(), O_CLOEXEC);
  if (named < 0) {
    throw IoError(str(folder.string(), ": cannot hold pages of keys and values: ",
                      std::generic_category().message(errno)));
  }
  ::unlink(name.c_str());
  return named;
}

}  // namespace

PageFile::PageFile(const std::filesystem::path& folder, int64_t max_bytes) : max_bytes_(max_bytes) {
  if (max_bytes < 1) throw UsageError(str("pages on disk: a budget of ", max_bytes, " bytes"));
  descriptor_ = open_nameless(folder);
}

PageFile::~PageFile() { ::close(descriptor_); }

int64_t PageFile::place_for(int64_t bytes) {
  std::vector<int64_t>& holes = holes_[bytes];
  if (holes.empty()) {
    holes.push_back(end_);
    end_ += (bytes + kAlignment - 1) / kAlignment * kAlignment;
  }
  const int64_t offset = holes.back();
  holes.pop_back();
  return offset;
}

std::optional<PageFile::Slot> PageFile::write(std::span<const std::byte> page) {
  const auto bytes = static_cast<int64_t>(page.size());
  if (bytes > max_bytes_ - bytes_) return std::nullopt;
  Slot slot{.offset = place_for(bytes), .bytes = bytes};
  bytes_ += bytes;
  for (size_t done = 0; done < page.size();) {
    const ssize_t wrote = ::pwrite(descriptor_, page.data() + done, page.size() - done,
                                   slot.offset + static_cast<int64_t>(done));
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote <= 0) {
      release(slot);
      return std::nullopt;
    }
    done += static_cast<size_t>(wrote);
  }
  Fingerprint print;
  print.add(page);
  slot.checksum = print.value();
  return slot;
}

bool PageFile::read(const Slot& slot, std::span<std::byte> page) const {
  if (slot.bytes != static_cast<int64_t>(page.size())) return false;
  for (size_t done = 0; done < page.size();) {
    const ssize_t got = ::pread(descriptor_, page.data() + done, page.size() - done,
                                slot.offset + static_cast<int64_t>(done));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    done += static_cast<size_t>(got);
  }
  Fingerprint print;
  print.add(std::span<const std::byte>(page));
  return print.value() == slot.checksum;
}

void PageFile::release(const Slot& slot) {
  // Where holes cannot be punched the place is only used again.
  static_cast<void>(::fallocate(descriptor_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                slot.offset, slot.bytes));
  holes_[slot.bytes].push_back(slot.offset);
  bytes_ -= slot.bytes;
}

}  // namespace corral::kv
