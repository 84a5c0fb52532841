#pragma once

#include <sstream>
#include <string>
#include <vector>

#include "cli/app.h"

namespace corral::cli {

/// What a command left behind: its exit status and what it wrote to the two streams.
struct Result {
  int status;
  std::string out;
  std::string err;
};

/// Runs the program inside the test, away from a terminal.
inline Result corral(const std::vector<std::string>& arguments, const std::string& input = "") {
  std::istringstream in(input);
  std::ostringstream out;
  std::ostringstream err;
  Io io{in, out, err, false};
  const int status = run(arguments, io);
  return {status, out.str(), err.str()};
}

}  // namespace corral::cli
