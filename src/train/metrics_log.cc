#include "train/metrics_log.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

#include "base/error.h"

namespace corral::train {
namespace {

IoError io_error(const char* action, const std::filesystem::path& path) {
  const int reason = errno;
  return IoError(
      str("cannot ", action, " ", path.string(), ": ", std::generic_category().message(reason)));
}

}  // namespace

MetricsLog::MetricsLog(std::filesystem::path path, int64_t keep_bytes) : path_(std::move(path)) {
  descriptor_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (descriptor_ < 0) throw io_error("open", path_);
  struct stat info {};
  const bool good = ::fstat(descriptor_, &info) == 0;
  size_ = std::min<int64_t>(keep_bytes, info.st_size);
  if (!good || ::ftruncate(descriptor_, size_) != 0) {
    const IoError error = io_error("shorten", path_);
    ::close(descriptor_);
    throw error;
  }
}

MetricsLog::~MetricsLog() { ::close(descriptor_); }

void MetricsLog::append(const nlohmann::ordered_json& line) {
  const std::string text = line.dump() + '\n';
  size_t done = 0;
  while (done < text.size()) {
    const ssize_t put = ::write(descriptor_, text.data() + done, text.size() - done);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) throw io_error("write", path_);
    done += static_cast<size_t>(put);
  }
  size_ += static_cast<int64_t>(text.size());
}

void MetricsLog::sync() {
  if (::fsync(descriptor_) != 0) throw io_error("write", path_);
}

}  // namespace corral::train
