#pragma once

#include <string>

#include "base/error.h"
#include "serve/http.h"

namespace corral::serve {

/// What a client did wrong, or the server cannot do, in the words of OpenAI's API.
class ApiError : public Error {
 public:
  /// param: the field of the request that is to blame; empty: none. code: a word for programs.
  ApiError(int status, const std::string& message, std::string param = "", std::string code = "",
           int64_t retry_after_seconds = 1)
      : Error(message),
        status_(status),
        param_(std::move(param)),
        code_(std::move(code)),
        retry_after_seconds_(retry_after_seconds) {}
  int status() const { return status_; }
  const std::string& param() const { return param_; }
  const std::string& code() const { return code_; }
  /// When to try again, for 429 and 503.
  int64_t retry_after_seconds() const { return retry_after_seconds_; }

 private:
  int status_;
  std::string param_;
  std::string code_;
  int64_t retry_after_seconds_;
};

/// Which API's words an error is told in.
enum class ErrorStyle { kOpenAi, kAnthropic };

/// {"error": {"message", "type", "param", "code"}}, or {"type": "error", "error": {"type",
/// "message"}}.
std::string error_json(const ApiError& error, ErrorStyle style = ErrorStyle::kOpenAi);
/// With Retry-After where trying again helps.
HttpResponse error_response(const ApiError& error, ErrorStyle style = ErrorStyle::kOpenAi);

}  // namespace corral::serve
