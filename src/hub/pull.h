#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace corral::hub {

inline constexpr const char* kDefaultHub = "https://huggingface.co";

struct PullOptions {
  std::string hub = kDefaultHub;  // base URL
  /// Sent to the hub's own host, scheme and port only, and only by https or to this machine.
  std::string token = {};
  std::string repo = {};  // OWNER/NAME
  std::string revision = "main";
  std::filesystem::path folder = {};      // where the files go; made if absent
  std::vector<std::string> include = {};  // patterns, see select_files()
  int connections = 8;
  int64_t part_bytes = int64_t{32} << 20;  // a killed download loses at most one a connection
  double connect_seconds = 15;
  double stall_seconds = 30;      // a connection without a byte for so long is given up
  double first_wait_seconds = 1;  // before trying again; doubles each time, up to a minute
  int attempts = 6;               // without a single byte between them
  const std::atomic<bool>* cancel = nullptr;  // set: stop soon, keeping what is there
  /// Called in the calling thread, about ten times a second: bytes that are there (those of earlier
  /// tries too), all bytes, and what else is to say.
  std::function<void(int64_t done, int64_t total, const std::string& note)> progress = nullptr;
};

struct PulledModel {
  std::string commit;
  std::vector<std::string> files;  // all that were selected
  int64_t bytes = 0;               // of these files
  int64_t fetched_bytes = 0;       // of these came over the network now
};

/// Downloads a model from a hub with Hugging Face's interface: its list of files (with their
/// hashes), then the files in parts, over several connections. A file gets its name when all of it
/// is there and its hash is right; until then it is NAME.partial, and another pull goes on with it.
/// Files that are there already are kept if their hash is right. At the end .corral-pull.json in
/// the folder says what was downloaded. Connections that fail are tried again. Throws UsageError
/// for options that make no sense, Cancelled, IoError (also when the disk has not enough space,
/// before anything is downloaded), CorruptFile when the hub's data is not what it says, and Error
/// with what the hub answered.
PulledModel pull(const PullOptions& options);

/// The name of the file that says what a folder holds.
inline constexpr const char* kPullRecord = ".corral-pull.json";

}  // namespace corral::hub
