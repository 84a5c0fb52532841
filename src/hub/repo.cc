#include "hub/repo.h"

#include <algorithm>
#include <set>

#include "base/error.h"
#include "base/json.h"

namespace corral::hub {
namespace {

constexpr size_t kMaxNameBytes = 240;  // file systems end at 255; .partial comes behind
constexpr size_t kMaxPathBytes = 1024;
constexpr size_t kMaxFiles = 100'000;
constexpr int64_t kMaxFileBytes = int64_t{1} << 50;
constexpr size_t kMaxListed = 40;

bool is_plain(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '_' || c == '.';
}

bool is_hex(std::string_view text, size_t digits) {
  return text.size() == digits && text.find_first_not_of("0123456789abcdef") == text.npos;
}

bool is_safe_part(std::string_view part) {
  return !part.empty() && part[0] != '.' && part.size() <= kMaxNameBytes &&
         std::all_of(part.begin(), part.end(), [](char c) {
           const auto byte = static_cast<unsigned char>(c);
           return byte >= 0x20 && byte != 0x7F && c != '\\';
         });
}

std::string text_of(const Json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

/// Has a part that begins with a dot, and none that leads elsewhere.
bool is_hidden(const std::string& path) {
  const std::string whole = "/" + path + "/";
  return whole.find("/.") != whole.npos && whole.find("/./") == whole.npos &&
         whole.find("/../") == whole.npos;
}

RepoFile read_file_entry(const Json& entry, const std::string& path, const std::string& what) {
  RepoFile file;
  file.path = path;
  const auto lfs = entry.find("lfs");
  const bool is_large = lfs != entry.end() && lfs->is_object();
  const Json& described = is_large ? *lfs : entry;
  file.hash.kind = is_large ? FileHash::Kind::kSha256 : FileHash::Kind::kGitBlob;
  file.hash.digits = text_of(described, "oid");
  if (!is_hex(file.hash.digits, is_large ? 64 : 40)) {
    throw CorruptFile(str(what, ": no hash for ", path));
  }
  const auto size = described.find("size");
  if (size == described.end() || !size->is_number_integer() || size->get<int64_t>() < 0 ||
      size->get<int64_t>() > kMaxFileBytes) {
    throw CorruptFile(str(what, ": no sensible size for ", path));
  }
  file.size_bytes = size->get<int64_t>();
  return file;
}

bool ends_with_any(std::string_view path, std::initializer_list<std::string_view> endings) {
  return std::any_of(endings.begin(), endings.end(),
                     [&](std::string_view ending) { return path.ends_with(ending); });
}

/// A part of a split model belongs to the model of its first part.
std::string gguf_model(std::string path) {
  constexpr size_t kTail = std::string_view("-00001-of-00002.gguf").size();
  if (path.size() > kTail && path.substr(path.size() - kTail + 6, 4) == "-of-") {
    path.resize(path.size() - kTail);
  }
  return path;
}

std::string listed(const std::set<std::string>& names) {
  std::string text;
  size_t count = 0;
  for (const std::string& name : names) {
    if (++count > kMaxListed) return text + ", ...";
    text += (text.empty() ? "" : ", ") + name;
  }
  return text;
}

}  // namespace

void check_repo_name(const std::string& repo) {
  const size_t slash = repo.find('/');
  const std::string_view name = std::string_view(repo).substr(slash == repo.npos ? 0 : slash + 1);
  const auto is_name = [](std::string_view part) {
    return is_safe_part(part) && part[0] != '-' && part.find("..") == part.npos &&
           std::all_of(part.begin(), part.end(), is_plain);
  };
  const bool owner_ok = slash == repo.npos || is_name(std::string_view(repo).substr(0, slash));
  if (owner_ok && is_name(name)) return;
  throw UsageError(str("'", repo, "' names no repository: use OWNER/NAME"));
}

bool is_safe_path(std::string_view path) {
  if (path.size() > kMaxPathBytes) return false;
  size_t begin = 0;
  while (true) {
    const size_t end = std::min(path.find('/', begin), path.size());
    if (!is_safe_part(path.substr(begin, end - begin))) return false;
    if (end == path.size()) return true;
    begin = end + 1;
  }
}

std::vector<RepoFile> parse_tree(std::string_view text, const std::string& what) {
  const Json json = parse_json(text, what);
  if (!json.is_array() || json.size() > kMaxFiles) {
    throw CorruptFile(str(what, ": not a list of files"));
  }
  std::vector<RepoFile> files;
  for (const Json& entry : json) {
    if (!entry.is_object()) throw CorruptFile(str(what, ": not a list of files"));
    if (text_of(entry, "type") != "file") continue;
    const std::string path = text_of(entry, "path");
    if (is_hidden(path)) continue;
    if (!is_safe_path(path)) {
      throw CorruptFile(str(what, ": refusing a file named ", Json(path.substr(0, 100)).dump()));
    }
    files.push_back(read_file_entry(entry, path, what));
  }
  return files;
}

std::string parse_commit(std::string_view text, const std::string& what) {
  const Json json = parse_json(text, what);
  const std::string commit = json.is_object() ? text_of(json, "sha") : "";
  if (!is_hex(commit, 40) && !is_hex(commit, 64)) {
    throw CorruptFile(str(what, ": the answer names no commit"));
  }
  return commit;
}

bool matches(std::string_view path, std::string_view pattern) {
  const auto match = [&](std::string_view text) {
    size_t t = 0;
    size_t p = 0;
    size_t star = pattern.npos;
    size_t retry = 0;
    while (t < text.size()) {
      if (p < pattern.size() && pattern[p] == '*') {
        star = p++;
        retry = t;
      } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == text[t])) {
        ++p;
        ++t;
      } else if (star != pattern.npos) {
        p = star + 1;
        t = ++retry;
      } else {
        return false;
      }
    }
    while (p < pattern.size() && pattern[p] == '*') ++p;
    return p == pattern.size();
  };
  const size_t slash = path.rfind('/');
  return match(path) || (slash != path.npos && match(path.substr(slash + 1)));
}

std::vector<RepoFile> select_files(std::vector<RepoFile> files,
                                   const std::vector<std::string>& include,
                                   const std::string& repo) {
  if (!include.empty()) {
    std::erase_if(files, [&](const RepoFile& file) {
      return std::none_of(include.begin(), include.end(),
                          [&](const std::string& p) { return matches(file.path, p); });
    });
    if (files.empty()) throw UsageError(str(repo, ": no file matches --include"));
    return files;
  }
  const bool has_safetensors = std::any_of(files.begin(), files.end(), [](const RepoFile& file) {
    return file.path.ends_with(".safetensors");
  });
  if (has_safetensors) {
    std::erase_if(files, [](const RepoFile& file) {
      return file.path.starts_with("original/") ||
             ends_with_any(file.path, {".bin", ".pth", ".pt", ".onnx", ".h5", ".msgpack"});
    });
  }
  std::set<std::string> models;
  for (const RepoFile& file : files) {
    const bool is_projector = file.path.find("mmproj") != file.path.npos;
    if (file.path.ends_with(".gguf") && !is_projector) models.insert(gguf_model(file.path));
  }
  if (models.size() > 1) {
    throw UsageError(str(repo, " holds ", models.size(),
                         " GGUF models: choose with --include '*PART OF A NAME*' among ",
                         listed(models)));
  }
  if (files.empty()) throw UsageError(str(repo, ": the repository holds no files"));
  return files;
}

}  // namespace corral::hub
