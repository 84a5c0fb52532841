#pragma once

#include <atomic>
#include <filesystem>
#include <string>

namespace corral::hub {

/// How a hub says what a file holds: hexadecimal digits, lower case.
struct FileHash {
  enum class Kind {
    kSha256,   // of large files (LFS)
    kGitBlob,  // of small ones: the SHA-1 that git gives the content
  };
  Kind kind = Kind::kSha256;
  std::string digits = {};
  bool operator==(const FileHash&) const = default;
};

/// "sha256" or "git".
std::string to_string(FileHash::Kind kind);

/// The hash of a file's content. Throws IoError; Cancelled when cancel (may be null) gets set.
FileHash hash_file(const std::filesystem::path& path, FileHash::Kind kind,
                   const std::atomic<bool>* cancel = nullptr);

}  // namespace corral::hub
