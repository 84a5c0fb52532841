#include "serve/guard.h"

#include <algorithm>
#include <utility>

#include "base/str.h"
#include "serve/api_error.h"

namespace corral::serve {

std::string host_name(std::string_view host) {
  std::string_view name = host;
  if (name.starts_with('[')) {
    name = name.substr(1, name.find(']') - 1);
  } else {
    name = name.substr(0, name.find(':'));
  }
  std::string lower(name);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lower;
}

Guard::Guard(const HttpOptions& http, std::vector<std::string> hosts)
    : http_(http),
      hosts_(std::move(hosts)),
      loopback_(http.host.starts_with("127.") || http.host == "::1") {}

bool Guard::knows(std::string_view host) const {
  const std::string name = host_name(host);
  if (name == "localhost" || name == "::1" || name == http_.host) return true;
  // Digits only: a name that merely begins so belongs to somebody else.
  if (name.starts_with("127.") && name.find_first_not_of("0123456789.") == name.npos) return true;
  return std::find(hosts_.begin(), hosts_.end(), name) != hosts_.end();
}

void Guard::check(const HttpRequest& request) const {
  const bool named = !request.host.empty();
  if (named && (loopback_ || !hosts_.empty()) && !knows(request.host)) {
    throw ApiError(403, str("the host '", request.host.substr(0, 100),
                            "' is not this server: --allow-host lets it be"));
  }
  const std::string_view origin = request.origin;
  if (origin.empty() || http_.shares_with(origin)) return;
  const bool own =
      named && (origin == "http://" + request.host || origin == "https://" + request.host);
  if (!own) {
    throw ApiError(403, str("pages of '", request.origin.substr(0, 100),
                            "' may not use this server: --cors-origin lets them"));
  }
}

}  // namespace corral::serve
