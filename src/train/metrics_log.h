#pragma once

#include <cstdint>
#include <filesystem>

#include "base/json.h"

namespace corral::train {

/// The file metrics.jsonl of a run: one JSON object a line, appended while the run goes on
/// (docs/formats/metrics.md).
class MetricsLog {
 public:
  /// Opens or makes the file and drops what is behind keep_bytes, the length that the checkpoint
  /// remembers: the lines of steps that are about to be done again. Throws IoError.
  MetricsLog(std::filesystem::path path, int64_t keep_bytes);
  ~MetricsLog();
  MetricsLog(const MetricsLog&) = delete;
  MetricsLog& operator=(const MetricsLog&) = delete;

  /// Appends one line. Throws IoError ("no space left on device").
  void append(const nlohmann::ordered_json& line);
  int64_t size_bytes() const { return size_; }
  /// Makes sure that what was appended survives a loss of power.
  void sync();

 private:
  std::filesystem::path path_;
  int descriptor_ = -1;
  int64_t size_ = 0;
};

}  // namespace corral::train
