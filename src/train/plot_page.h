#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/json.h"

namespace corral::train {

/// The lines of a run's metrics.jsonl. A last line without line end, which a killed run may leave,
/// is skipped. Throws IoError, CorruptFile naming the line.
std::vector<Json> read_metrics(const std::filesystem::path& path);

/// A page about a run that needs nothing but itself: loss (with validation), learning rate,
/// gradient norm, expert balance and throughput as inline SVG, readable in light and dark; the
/// mouse shows values. Lines with missing or wrong fields count as far as they go.
std::string plot_page(const std::string& title, const std::vector<Json>& metrics);

}  // namespace corral::train
