#include "hub/pull.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <set>

#include "base/file.h"
#include "base/json.h"
#include "hub/download.h"
#include "hub/http.h"
#include "hub/hub_errors.h"
#include "hub/retry.h"
#include "hub/url.h"

namespace corral::hub {
namespace {

constexpr int kMaxPages = 1000;
constexpr int kMaxConnections = 64;
constexpr int64_t kSmallestPartBytes = 1024;
// A disk that is full to the last byte helps nobody.
constexpr int64_t kSpareBytes = int64_t{64} << 20;

/// While it lives no other pull works in the folder.
class FolderLock {
 public:
  explicit FolderLock(const std::filesystem::path& folder)
      : descriptor_(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
    if (descriptor_ < 0) throw IoError(str("cannot open ", folder.string()));
    if (::flock(descriptor_, LOCK_EX | LOCK_NB) == 0) return;
    ::close(descriptor_);
    throw Error(str(folder.string(), ": another pull is working here"));
  }
  ~FolderLock() { ::close(descriptor_); }
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

 private:
  int descriptor_;
};

/// The address in a Link header of the form <URL>; rel="next".
std::string next_page(const HttpResponse& response) {
  const std::string link = response.header("link");
  const size_t next = link.find("rel=\"next\"");
  if (next == link.npos) return "";
  const size_t begin = link.rfind('<', next);
  const size_t end = begin == link.npos ? link.npos : link.find('>', begin);
  return end == link.npos || end > next ? "" : link.substr(begin + 1, end - begin - 1);
}

std::vector<RepoFile> list_files(HttpClient& client, const PullOptions& options,
                                 const std::string& commit) {
  std::vector<RepoFile> files;
  std::string url = str(options.hub, "/api/models/", url_encode(options.repo, Slash::kKeep),
                        "/tree/", commit, "?recursive=true");
  for (int page = 0; !url.empty(); ++page) {
    if (page == kMaxPages) throw Error(str(options.repo, ": the hub's list has no end"));
    const HttpResponse response = get_answer(client, options, url);
    for (RepoFile& file : parse_tree(response.body, for_display(url))) {
      files.push_back(std::move(file));
    }
    const std::string next = next_page(response);
    url = next.empty() ? "" : redirect_target(url, next);
  }
  return files;
}

/// No two files at one place, and no file where another needs a folder.
void check_places(const std::vector<RepoFile>& files, const std::string& repo) {
  std::set<std::string> folders;
  for (const RepoFile& file : files) {
    for (size_t at = file.path.find('/'); at != file.path.npos; at = file.path.find('/', at + 1)) {
      folders.insert(file.path.substr(0, at));
    }
  }
  std::set<std::string> taken = folders;
  for (const RepoFile& file : files) {
    if (!taken.insert(file.path).second) {
      throw CorruptFile(str(repo, ": the hub's list has two files at ", file.path));
    }
  }
}

/// What earlier pulls put into the folder: hashes by path. A record that cannot be read is none.
std::map<std::string, FileHash> read_record(const std::filesystem::path& folder) {
  std::map<std::string, FileHash> known;
  const auto path = folder / kPullRecord;
  if (!std::filesystem::exists(path)) return known;
  Json record;
  try {
    record = parse_json(read_file(path), path.string());
  } catch (const CorruptFile&) {
    return known;
  }
  if (!record.is_object() || !record.contains("files") || !record["files"].is_array()) return known;
  for (const Json& file : record["files"]) {
    if (!file.is_object()) continue;
    const bool is_large = file.value("kind", Json()) == "sha256";
    const Json digits = file.value("hash", Json());
    const Json name = file.value("path", Json());
    if (!digits.is_string() || !name.is_string()) continue;
    known[name.get<std::string>()] = {is_large ? FileHash::Kind::kSha256 : FileHash::Kind::kGitBlob,
                                      digits.get<std::string>()};
  }
  return known;
}

void write_record(const PullOptions& options, const std::string& commit,
                  std::map<std::string, FileHash> known, const std::vector<RepoFile>& files) {
  for (const RepoFile& file : files) known[file.path] = file.hash;
  Json list = Json::array();
  for (const auto& [path, hash] : known) {
    if (!std::filesystem::exists(options.folder / path)) continue;
    list.push_back({{"path", path}, {"kind", to_string(hash.kind)}, {"hash", hash.digits}});
  }
  const Json record = {{"hub", options.hub},
                       {"repo", options.repo},
                       {"revision", options.revision},
                       {"commit", commit},
                       {"files", list}};
  write_file_atomically(options.folder / kPullRecord, record.dump(2) + "\n");
}

/// Is the file there, with the right content? An earlier pull's word is enough if the size fits.
bool is_there(const PullOptions& options, const RepoFile& file,
              const std::map<std::string, FileHash>& known) {
  const auto path = options.folder / file.path;
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error)) return false;
  const auto size = std::filesystem::file_size(path, error);
  if (error || size != static_cast<uintmax_t>(file.size_bytes)) return false;
  const auto found = known.find(file.path);
  if (found != known.end() && found->second.kind == file.hash.kind) {
    return found->second == file.hash;
  }
  if (options.progress) options.progress(0, 0, "checking " + file.path);
  return hash_file(path, file.hash.kind, options.cancel) == file.hash;
}

/// Bytes that an unfinished file already occupies on the disk.
int64_t allocated_bytes(const std::filesystem::path& partial) {
  std::error_code error;
  const auto size = std::filesystem::file_size(partial, error);
  return error ? 0 : static_cast<int64_t>(size);
}

void check_space(const PullOptions& options, const std::vector<Download>& downloads) {
  int64_t needed = kSpareBytes;
  for (const Download& download : downloads) {
    const auto partial = (options.folder / download.file.path).string() + ".partial";
    // A sparse file counts as if it were still to come: an estimate on the safe side.
    if (allocated_bytes(partial) != download.file.size_bytes) needed += download.file.size_bytes;
  }
  const auto available = static_cast<int64_t>(
      std::min<uintmax_t>(std::filesystem::space(options.folder).available, INT64_MAX));
  if (needed <= available) return;
  throw IoError(str(options.folder.string(), ": the files need ", needed >> 20,
                    " MiB, but the disk has only ", available >> 20,
                    " MiB left; --to DIR puts them elsewhere"));
}

PullOptions checked(PullOptions options) {
  while (options.hub.ends_with('/')) options.hub.pop_back();
  origin_of(options.hub);
  check_repo_name(options.repo);
  if (options.revision.empty()) throw UsageError("an empty revision");
  if (options.token.find_first_of("\r\n") != options.token.npos) {
    throw UsageError("the token holds a line break");
  }
  options.connections = std::clamp(options.connections, 1, kMaxConnections);
  options.part_bytes = std::max(options.part_bytes, kSmallestPartBytes);
  return options;
}

}  // namespace

PulledModel pull(const PullOptions& given) {
  const PullOptions options = checked(given);
  HttpClient client({.token = options.token,
                     .token_origin = origin_of(options.hub),
                     .connect_seconds = options.connect_seconds,
                     .stall_seconds = options.stall_seconds,
                     .cancel = options.cancel});
  const std::string repo = url_encode(options.repo, Slash::kKeep);
  const std::string revision_url =
      str(options.hub, "/api/models/", repo, "/revision/", url_encode(options.revision));
  PulledModel result;
  result.commit = parse_commit(get_answer(client, options, revision_url).body, revision_url);
  const auto files =
      select_files(list_files(client, options, result.commit), options.include, options.repo);
  check_places(files, options.repo);

  std::filesystem::create_directories(options.folder);
  const FolderLock lock(options.folder);
  const auto known = read_record(options.folder);
  std::vector<Download> downloads;
  int64_t kept_bytes = 0;
  for (const RepoFile& file : files) {
    result.files.push_back(file.path);
    if (file.size_bytes > INT64_MAX - result.bytes) throw CorruptFile(options.repo + ": too large");
    result.bytes += file.size_bytes;
    if (is_there(options, file, known)) {
      kept_bytes += file.size_bytes;
      continue;
    }
    downloads.push_back({file, str(options.hub, "/", repo, "/resolve/", result.commit, "/",
                                   url_encode(file.path, Slash::kKeep))});
  }
  check_space(options, downloads);
  if (!downloads.empty()) {
    result.fetched_bytes = download_all(options, downloads, kept_bytes, result.bytes);
  }
  write_record(options, result.commit, known, files);
  return result;
}

}  // namespace corral::hub
