// What a hub answers: its list of files, and names in it. Whatever it says, a path that gets
// through stays inside the folder it is put into.
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>

#include "base/error.h"
#include "hub/repo.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  namespace hub = corral::hub;
  const std::string text(reinterpret_cast<const char*>(data), size);
  try {
    for (const hub::RepoFile& file : hub::parse_tree(text, "list")) {
      const std::filesystem::path path = std::filesystem::path(file.path).lexically_normal();
      if (path.is_absolute() || path.empty() || *path.begin() == "..") __builtin_trap();
      if (file.size_bytes < 0 || !hub::is_safe_path(file.path)) __builtin_trap();
    }
  } catch (const corral::Error&) {
  }
  try {
    hub::parse_commit(text, "commit");
  } catch (const corral::Error&) {
  }
  try {
    hub::check_repo_name(text);
    if (text.find("..") != text.npos) __builtin_trap();
  } catch (const corral::Error&) {
  }
  hub::matches(text.substr(size / 2), text.substr(0, size / 2));
  return 0;
}
