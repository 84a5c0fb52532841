#pragma once

#include <filesystem>
#include <optional>

namespace corral::test {

/// tests/data in the source tree: small golden files that travel with the repository.
inline std::filesystem::path data_dir() {
  return std::filesystem::path(CORRAL_SOURCE_DIR) / "tests/data";
}

/// ../shared beside the checkout, with goldens too large (or not licensed) to be in the repository;
/// absent on most machines: tests that need it then skip and say so.
inline std::optional<std::filesystem::path> shared_dir() {
  const auto path = std::filesystem::path(CORRAL_SOURCE_DIR).parent_path() / "shared";
  if (std::filesystem::is_directory(path / "goldens")) return path;
  return std::nullopt;
}

}  // namespace corral::test
