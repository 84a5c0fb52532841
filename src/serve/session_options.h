#pragma once

#include <cstdint>
#include <filesystem>

namespace corral::serve {

/// Where clients may save sessions.
struct SessionOptions {
  std::filesystem::path folder;           // empty: nowhere
  int64_t max_bytes = int64_t{16} << 30;  // of all files there
};

}  // namespace corral::serve
