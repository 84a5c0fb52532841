#include "cli/environment.h"

#include <cstdlib>

namespace corral::cli {

std::string environment(const char* name) {
  const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): nobody sets any
  return value == nullptr ? "" : value;
}

}  // namespace corral::cli
