#include "io/zip_directory.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "io/names.h"

namespace corral::io {
namespace {

constexpr uint32_t kLocalMagic = 0x04034b50;
constexpr uint32_t kEntryMagic = 0x02014b50;
constexpr uint32_t kEndMagic = 0x06054b50;
constexpr uint32_t kEnd64Magic = 0x06064b50;
constexpr uint32_t kLocator64Magic = 0x07064b50;
constexpr uint64_t kLocalBytes = 30;
constexpr uint64_t kEntryBytes = 46;
constexpr uint64_t kEndBytes = 22;
constexpr uint64_t kEnd64Bytes = 56;
constexpr uint64_t kLocator64Bytes = 20;
constexpr uint64_t kMaxCommentBytes = 0xFFFF;
constexpr uint16_t kZip64Field = 1;
constexpr uint16_t kEncrypted = 1;
// In a field of the old directory: the value stands in the zip64 one.
constexpr uint32_t kIn64 = 0xFFFFFFFF;

// Little-endian numbers of a file of which nothing is trusted.
class Archive {
 public:
  Archive(std::span<const std::byte> bytes, const std::string& what) : bytes_(bytes), what_(what) {}

  uint64_t size() const { return bytes_.size(); }
  template <class T>
  T read(uint64_t at) const {
    T value;
    std::memcpy(&value, range(at, sizeof(T)).data(), sizeof(T));
    return value;
  }
  std::span<const std::byte> range(uint64_t at, uint64_t n) const {
    if (at > size() || n > size() - at) fail("the directory points outside the file");
    return bytes_.subspan(at, n);
  }
  [[noreturn]] void fail(const std::string& reason) const {
    throw CorruptFile(str(what_, ": damaged zip archive: ", reason));
  }
  [[noreturn]] void refuse(const std::string& reason) const {
    throw NotSupported(str(what_, ": ", reason));
  }

 private:
  std::span<const std::byte> bytes_;
  const std::string& what_;
};

struct Directory {
  uint64_t offset = 0;
  uint64_t size = 0;
  uint64_t entries = 0;
};

// The end record is the last thing in the file but for a comment of any bytes, so it is searched
// from the back; the one whose comment ends with the file is it.
uint64_t find_end(const Archive& zip) {
  if (zip.size() >= kEndBytes) {
    const uint64_t last = zip.size() - kEndBytes;
    const uint64_t first = last > kMaxCommentBytes ? last - kMaxCommentBytes : 0;
    for (uint64_t at = last + 1; at-- > first;) {
      if (zip.read<uint32_t>(at) != kEndMagic) continue;
      if (zip.read<uint16_t>(at + 20) == zip.size() - at - kEndBytes) return at;
    }
  }
  zip.fail("it has no end record: cut off, or no zip archive at all");
}

Directory find_directory(const Archive& zip) {
  const uint64_t end = find_end(zip);
  if (zip.read<uint16_t>(end + 4) != zip.read<uint16_t>(end + 6)) {
    zip.refuse("is one volume of several: join them first");
  }
  Directory directory{.offset = zip.read<uint32_t>(end + 16),
                      .size = zip.read<uint32_t>(end + 12),
                      .entries = zip.read<uint16_t>(end + 10)};
  uint64_t behind = end;
  if (end >= kLocator64Bytes && zip.read<uint32_t>(end - kLocator64Bytes) == kLocator64Magic) {
    const auto end64 = zip.read<uint64_t>(end - kLocator64Bytes + 8);
    zip.range(end64, kEnd64Bytes);
    if (zip.read<uint32_t>(end64) != kEnd64Magic) zip.fail("the zip64 end record is not there");
    directory = {.offset = zip.read<uint64_t>(end64 + 48),
                 .size = zip.read<uint64_t>(end64 + 40),
                 .entries = zip.read<uint64_t>(end64 + 32)};
    behind = end64;
  }
  if (directory.offset > behind || directory.size > behind - directory.offset) {
    zip.fail("the directory lies outside the file");
  }
  // Before anything is allocated for them.
  if (directory.entries > directory.size / kEntryBytes) {
    zip.fail(str("claims ", directory.entries, " entries in ", directory.size, " bytes"));
  }
  return directory;
}

// The values that did not fit the entry, in the order that the standard fixes.
void read_zip64_field(const Archive& zip, std::span<const std::byte> extra, uint64_t extra_at,
                      uint64_t& size, uint64_t& stored, uint64_t& local) {
  if (size != kIn64 && stored != kIn64 && local != kIn64) return;
  for (uint64_t at = 0; at + 4 <= extra.size();) {
    const auto id = zip.read<uint16_t>(extra_at + at);
    const uint64_t length = zip.read<uint16_t>(extra_at + at + 2);
    at += 4;
    if (length > extra.size() - at) break;
    if (id == kZip64Field) {
      uint64_t used = 0;
      for (uint64_t* value : {&size, &stored, &local}) {
        if (*value != kIn64) continue;
        if (used + 8 > length) zip.fail("a zip64 field is too short");
        *value = zip.read<uint64_t>(extra_at + at + used);
        used += 8;
      }
      return;
    }
    at += length;
  }
  zip.fail("a zip64 field is missing");
}

// Where the data begins: behind the local header, whose name must be the same.
uint64_t data_offset(const Archive& zip, uint64_t local, const std::string& name) {
  zip.range(local, kLocalBytes);
  if (zip.read<uint32_t>(local) != kLocalMagic) {
    zip.fail(str("entry ", show_name(name), " is not where the directory says"));
  }
  const uint64_t name_bytes = zip.read<uint16_t>(local + 26);
  const uint64_t extra_bytes = zip.read<uint16_t>(local + 28);
  const auto local_name = zip.range(local + kLocalBytes, name_bytes);
  if (name_bytes != name.size() || std::memcmp(local_name.data(), name.data(), name_bytes) != 0) {
    zip.fail(str("entry ", show_name(name), " has another name in front of its data"));
  }
  return local + kLocalBytes + name_bytes + extra_bytes;
}

void check_entries(const Archive& zip, const std::vector<ZipEntry>& entries) {
  std::vector<const ZipEntry*> order;
  for (const ZipEntry& entry : entries) order.push_back(&entry);
  std::sort(order.begin(), order.end(),
            [](const ZipEntry* a, const ZipEntry* b) { return a->name < b->name; });
  for (size_t i = 1; i < order.size(); ++i) {
    if (order[i]->name == order[i - 1]->name) {
      zip.fail(str("two entries are named ", show_name(order[i]->name)));
    }
  }
  std::sort(order.begin(), order.end(),
            [](const ZipEntry* a, const ZipEntry* b) { return a->offset_bytes < b->offset_bytes; });
  for (size_t i = 1; i < order.size(); ++i) {
    if (order[i]->offset_bytes - order[i - 1]->offset_bytes < order[i - 1]->size_bytes) {
      zip.fail(str("entries ", show_name(order[i - 1]->name), " and ", show_name(order[i]->name),
                   " overlap"));
    }
  }
}

// Reads the entry at `at` and moves `at` behind it.
ZipEntry read_entry(const Archive& zip, uint64_t& at, const Directory& directory) {
  const uint64_t left = directory.offset + directory.size - at;
  if (left < kEntryBytes || zip.read<uint32_t>(at) != kEntryMagic) {
    zip.fail("the directory breaks off");
  }
  const uint64_t name_bytes = zip.read<uint16_t>(at + 28);
  const uint64_t extra_bytes = zip.read<uint16_t>(at + 30);
  const uint64_t comment_bytes = zip.read<uint16_t>(at + 32);
  if (left - kEntryBytes < name_bytes + extra_bytes + comment_bytes) {
    zip.fail("the directory breaks off");
  }
  const auto name = zip.range(at + kEntryBytes, name_bytes);
  ZipEntry entry{.name = {reinterpret_cast<const char*>(name.data()), name.size()}};
  if ((zip.read<uint16_t>(at + 8) & kEncrypted) != 0) {
    zip.refuse(str("entry ", show_name(entry.name), " is encrypted"));
  }
  if (zip.read<uint16_t>(at + 10) != 0) {
    zip.refuse(str("entry ", show_name(entry.name), " is compressed; torch.save stores plainly"));
  }
  uint64_t stored = zip.read<uint32_t>(at + 20);
  uint64_t size = zip.read<uint32_t>(at + 24);
  uint64_t local = zip.read<uint32_t>(at + 42);
  const uint64_t extra_at = at + kEntryBytes + name_bytes;
  read_zip64_field(zip, zip.range(extra_at, extra_bytes), extra_at, size, stored, local);
  if (size != stored) zip.fail(str("entry ", show_name(entry.name), " has two different sizes"));
  const uint64_t data = data_offset(zip, local, entry.name);
  if (data > directory.offset || size > directory.offset - data) {
    zip.fail(str("the data of entry ", show_name(entry.name), " lies outside the file"));
  }
  entry.offset_bytes = static_cast<int64_t>(data);
  entry.size_bytes = static_cast<int64_t>(size);
  at = extra_at + extra_bytes + comment_bytes;
  return entry;
}

}  // namespace

std::vector<ZipEntry> read_zip_directory(std::span<const std::byte> archive,
                                         const std::string& what) {
  const Archive zip(archive, what);
  const Directory directory = find_directory(zip);
  std::vector<ZipEntry> entries;
  uint64_t at = directory.offset;
  for (uint64_t i = 0; i < directory.entries; ++i) {
    entries.push_back(read_entry(zip, at, directory));
  }
  check_entries(zip, entries);
  return entries;
}

}  // namespace corral::io
