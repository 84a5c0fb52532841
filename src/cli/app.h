#pragma once

#include <string>
#include <vector>

#include "cli/io.h"

namespace corral::cli {

/// Runs the program with these arguments (without its name). Returns the exit status: 0 done, 1
/// failed, 2 misused. Everything it has to say goes to io.
int run(const std::vector<std::string>& arguments, Io& io);

}  // namespace corral::cli
