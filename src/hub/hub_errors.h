#pragma once

#include "base/error.h"

namespace corral::hub {

/// The connection failed; trying again may help.
class TransferError : public Error {
 public:
  using Error::Error;
};

/// Somebody asked to stop.
class Cancelled : public Error {
 public:
  using Error::Error;
};

}  // namespace corral::hub
