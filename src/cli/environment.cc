#include "cli/environment.h"

#include <cstdlib>

#include "base/error.h"

namespace corral::cli {

std::string environment(const char* name) {
  const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): nobody sets any
  return value == nullptr ? "" : value;
}

std::filesystem::path cache_folder() {
  if (const auto cache = environment("XDG_CACHE_HOME"); !cache.empty()) {
    return std::filesystem::path(cache) / "corral";
  }
  const auto home = environment("HOME");
  if (home.empty()) throw UsageError("where is the cache? HOME and XDG_CACHE_HOME are not set");
  return std::filesystem::path(home) / ".cache" / "corral";
}

}  // namespace corral::cli
