#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "hub/pull.h"
#include "hub/repo.h"

namespace corral::hub {

/// A file to fetch.
struct Download {
  RepoFile file;
  std::string url;
};

/// Fetches files into options.folder, in parts, over options.connections connections at once; see
/// pull(). kept_bytes and total_bytes are what progress counts with. Returns the bytes that came
/// over the network.
int64_t download_all(const PullOptions& options, const std::vector<Download>& downloads,
                     int64_t kept_bytes, int64_t total_bytes);

}  // namespace corral::hub
