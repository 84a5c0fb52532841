#pragma once

#include <sstream>
#include <string>

namespace corral {

/// Concatenates anything that prints to a stream: str("w is ", shape, ", needs ", n).
template <class... Parts>
std::string str(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return std::move(out).str();
}

}  // namespace corral
