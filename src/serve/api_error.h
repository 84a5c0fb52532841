#pragma once

#include <string>

#include "base/error.h"
#include "serve/http.h"

namespace corral::serve {

/// What a client did wrong, or the server cannot do, in the words of OpenAI's API.
class ApiError : public Error {
 public:
  /// param: the field of the request that is to blame; empty: none.
  ApiError(int status, const std::string& message, std::string param = "")
      : Error(message), status_(status), param_(std::move(param)) {}
  int status() const { return status_; }
  const std::string& param() const { return param_; }

 private:
  int status_;
  std::string param_;
};

/// {"error": {"message", "type", "param", "code"}}.
std::string error_json(const ApiError& error);
/// With Retry-After where trying again helps.
HttpResponse error_response(const ApiError& error);

}  // namespace corral::serve
