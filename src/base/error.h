#pragma once

#include <stdexcept>
#include <string>

#include "base/str.h"

namespace corral {

/// The one exception type of Corral. The message is one line: what failed, what was found, what was
/// expected, and what to do. Caught once at the command line and once per request.
class Error : public std::runtime_error {
 public:
  explicit Error(const std::string& message) : std::runtime_error(message) {}
};

/// Operands of an operation do not fit together: "rms_norm: weight is [7], x needs [8]".
class ShapeError : public Error {
 public:
  using Error::Error;
};

/// An operation has no kernel or no gradient for this dtype, device or option.
class NotSupported : public Error {
 public:
  using Error::Error;
};

/// The operating system refused: missing file, no permission, full disk. Names the path.
class IoError : public Error {
 public:
  using Error::Error;
};

/// A file's content is not what its format promises. Names the path and the place.
class CorruptFile : public Error {
 public:
  using Error::Error;
};

/// The caller asked for something that makes no sense (bad option, bad value): exit status 2.
class UsageError : public Error {
 public:
  using Error::Error;
};

}  // namespace corral
