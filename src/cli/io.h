#pragma once

#include <istream>
#include <ostream>

namespace corral::cli {

/// The world outside a command, passed in so that commands run in memory under test: results go to
/// out, progress and errors to err.
struct Io {
  std::istream& in;
  std::ostream& out;
  std::ostream& err;
  bool terminal = false;  // someone is watching err and typing into in
};

}  // namespace corral::cli
