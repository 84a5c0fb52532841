#pragma once

#include <optional>
#include <string>

namespace corral::cli {

/// What `corral tune` found to be fastest, kept in tuned.json of the cache folder: for a model file
/// as it is now, on this machine with the processors that the process may use now.
struct TunedSettings {
  int threads;
  bool no_mmap = false;  // weights in memory instead of mapped files
};

/// nullopt when this model was not tuned here, or nothing readable says so.
std::optional<TunedSettings> tuned_settings(const std::string& model);

/// Remembers them for later commands. model: as resolve_model() takes it. Throws IoError.
void remember_tuned_settings(const std::string& model, const TunedSettings& settings);

/// Forgets them again.
void forget_tuned_settings(const std::string& model);

}  // namespace corral::cli
