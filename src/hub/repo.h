#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "hub/file_hash.h"

namespace corral::hub {

/// A file of a repository. The path is relative, with "/" between its parts, and safe to append to
/// a folder.
struct RepoFile {
  std::string path;
  int64_t size_bytes = 0;
  FileHash hash;
};

/// Throws UsageError unless the name is NAME or OWNER/NAME of letters, digits, "-", "_" and ".".
void check_repo_name(const std::string& repo);

/// Can a file of this name be put into a folder? Refused: absolute paths, parts that are empty or
/// begin with "." (so also ".."), backslashes, control characters, names too long for a file
/// system.
bool is_safe_path(std::string_view path);

/// One page of the hub's answer to /api/models/REPO/tree/REVISION: its files. Those whose names
/// begin with a "." (.gitattributes) are left out: no model needs them. `what` is put in front of
/// complaints. Throws CorruptFile for answers of another form, unsafe paths, files without a hash.
std::vector<RepoFile> parse_tree(std::string_view json, const std::string& what);

/// The commit in the answer to /api/models/REPO/revision/REVISION. Throws CorruptFile.
std::string parse_commit(std::string_view json, const std::string& what);

/// Does the path match a pattern with * (any characters) and ? (one), as a whole or by its last
/// part?
bool matches(std::string_view path, std::string_view pattern);

/// Which of the files to fetch: those that match one of `include`, where there are any. Without,
/// all but copies of the weights in other forms: with safetensors at hand Meta's original/ folder
/// and
/// *.bin, *.pth, *.pt, *.onnx, *.h5 and *.msgpack stay out. Throws UsageError when nothing matches,
/// and when several GGUF models are there to choose from, with their names.
std::vector<RepoFile> select_files(std::vector<RepoFile> files,
                                   const std::vector<std::string>& include,
                                   const std::string& repo);

}  // namespace corral::hub
