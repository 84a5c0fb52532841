#pragma once

#include <cstddef>
#include <span>
#include <string_view>

namespace corral::serve {

/// A file of the chat page as it lies in the program.
struct PageFile {
  std::string_view path;  // as asked for: "/", "/assets/app.js"
  std::string_view content_type;
  std::string_view etag;  // with its quotes
  std::string_view gzip;
  size_t plain_bytes;
};

/// All files of the page (web/, bundled by tools/build_page.py); none where the build had no
/// esbuild.
std::span<const PageFile> page_files();

}  // namespace corral::serve
