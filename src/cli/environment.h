#pragma once

#include <string>

namespace corral::cli {

/// A variable of the environment; empty when it is not set. Only the command line reads them,
/// before any other thread runs.
std::string environment(const char* name);

}  // namespace corral::cli
