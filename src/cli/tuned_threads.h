#pragma once

#include <optional>
#include <string>

namespace corral::cli {

// What `corral tune` found out, in tuned.json of the cache folder: for a model file as it is now,
// on this machine with the processors that the process may use now, how many threads are fastest.

/// nullopt when this model was not tuned here, or nothing readable says so.
std::optional<int> tuned_threads(const std::string& model);

/// Remembers it for later commands. model: as resolve_model() takes it. Throws IoError.
void remember_tuned_threads(const std::string& model, int threads);

/// Forgets it again.
void forget_tuned_threads(const std::string& model);

}  // namespace corral::cli
