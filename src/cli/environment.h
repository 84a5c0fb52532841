#pragma once

#include <filesystem>
#include <string>

namespace corral::cli {

/// A variable of the environment; empty when it is not set. Only the command line reads them,
/// before any other thread runs.
std::string environment(const char* name);

/// Where the program keeps what it can get again: $XDG_CACHE_HOME/corral, else ~/.cache/corral.
/// Throws UsageError when neither is set.
std::filesystem::path cache_folder();

}  // namespace corral::cli
