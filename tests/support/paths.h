#pragma once

#include <filesystem>
#include <optional>

namespace corral::test {

/// The source tree. Compiled once, so that no test's object code depends on where it lies.
std::filesystem::path source_dir();

/// tests/data in the source tree: small golden files that travel with the repository.
inline std::filesystem::path data_dir() { return source_dir() / "tests/data"; }

/// ../shared beside the checkout, with goldens too large (or not licensed) to be in the repository;
/// absent on most machines: tests that need it then skip and say so.
inline std::optional<std::filesystem::path> shared_dir() {
  const auto path = source_dir().parent_path() / "shared";
  if (std::filesystem::is_directory(path / "goldens")) return path;
  return std::nullopt;
}

}  // namespace corral::test
