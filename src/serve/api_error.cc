#include "serve/api_error.h"

#include <nlohmann/json.hpp>

#include "serve/api_json.h"

namespace corral::serve {
namespace {

const char* type_of(int status) {
  switch (status) {
    case 401:
      return "authentication_error";
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

}  // namespace

std::string error_json(const ApiError& error) {
  OrderedJson body;
  body["message"] = error.what();
  body["type"] = type_of(error.status());
  body["param"] = error.param().empty() ? OrderedJson() : OrderedJson(error.param());
  body["code"] = error.status() == 401 ? OrderedJson("invalid_api_key") : OrderedJson();
  return dump({{"error", body}});
}

HttpResponse error_response(const ApiError& error) {
  HttpResponse response{.status = error.status(), .body = error_json(error)};
  if (error.status() == 429 || error.status() == 503) response.headers = {{"Retry-After", "1"}};
  if (error.status() == 401) response.headers = {{"WWW-Authenticate", "Bearer"}};
  return response;
}

}  // namespace corral::serve
