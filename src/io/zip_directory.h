#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace corral::io {

/// A file inside a zip archive whose bytes stand there as they are.
struct ZipEntry {
  std::string name;
  int64_t offset_bytes = 0;  // of its data, from the start of the archive
  int64_t size_bytes = 0;
};

/// The directory of a zip archive, zip64 included, in its order; `what` is the archive's name for
/// messages. Touches the directory and each entry's local header, no data. Throws CorruptFile when
/// anything lies outside the file or over something else or a name occurs twice, NotSupported for
/// compressed or encrypted entries and archives of several volumes: torch writes none of them.
/// Source: PKWARE's APPNOTE 6.3.10, sections 4.3 and 4.5.3.
std::vector<ZipEntry> read_zip_directory(std::span<const std::byte> archive,
                                         const std::string& what);

}  // namespace corral::io
