#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>

#include "cli/common.h"
#include "cli/speculation_options.h"
#include "engine/scheduler.h"
#include "serve/shelf.h"

namespace corral::cli {

inline constexpr double kMiB = 1 << 20;

/// How one model is served: the options of `corral serve MODEL`, and of a [[model]] of its config.
struct ServedModel {
  std::string path;  // as resolve_model() takes it
  std::string name;  // empty: the model's own
  std::string mmproj;
  std::string precision = "f32";
  LoadOptions load;
  KvTypeOptions kv_types;
  double kv_gib = 1;
  std::string kv_disk;
  double kv_disk_gib = 16;
  double image_cache_mib = 256;
  bool no_prefix_cache = false;
  bool preload = false;
  SpeculationOptions speculation;
  double draft_kv_gib = 0.25;
  engine::SchedulerOptions engine;

  /// Everything but the path, and preload.
  void add_to(CLI::App& command);
  /// What the shelf needs. Reads the headers of the model's files only when it has no name. Throws
  /// as load_model().
  serve::ShelfEntry entry(const DevicePtr& device) const;
};

}  // namespace corral::cli
