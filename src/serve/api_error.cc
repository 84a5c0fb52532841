#include "serve/api_error.h"

#include <nlohmann/json.hpp>

#include "serve/api_json.h"

namespace corral::serve {
namespace {

const char* openai_type(int status) {
  switch (status) {
    case 401:
      return "authentication_error";
    case 403:
      return "permission_error";
    case 404:
      return "not_found_error";
    case 429:
      return "rate_limit_error";
    case 503:
      return "overloaded_error";
    case 504:
      return "timeout_error";
    default:
      return status < 500 ? "invalid_request_error" : "server_error";
  }
}

const char* anthropic_type(int status) {
  if (status == 413) return "request_too_large";
  if (status >= 500 && status != 503 && status != 504) return "api_error";
  return openai_type(status);
}

}  // namespace

std::string error_json(const ApiError& error, ErrorStyle style) {
  OrderedJson body;
  if (style == ErrorStyle::kAnthropic) {
    body["type"] = anthropic_type(error.status());
    body["message"] = error.what();
    OrderedJson whole;
    whole["type"] = "error";
    whole["error"] = std::move(body);
    return dump(whole);
  }
  const auto text_or_null = [](const std::string& text) {
    return text.empty() ? OrderedJson() : OrderedJson(text);
  };
  body["message"] = error.what();
  body["type"] = openai_type(error.status());
  body["param"] = text_or_null(error.param());
  body["code"] = text_or_null(error.status() == 401 ? "invalid_api_key" : error.code());
  return dump({{"error", body}});
}

HttpResponse error_response(const ApiError& error, ErrorStyle style) {
  HttpResponse response{.status = error.status(), .body = error_json(error, style)};
  if (error.status() == 429 || error.status() == 503) {
    response.headers = {{"Retry-After", str(error.retry_after_seconds())}};
  }
  if (error.status() == 401) response.headers = {{"WWW-Authenticate", "Bearer"}};
  return response;
}

}  // namespace corral::serve
