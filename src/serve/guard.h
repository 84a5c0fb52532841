#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "serve/http_server.h"

namespace corral::serve {

/// Keeps pages of other sites from using a person's browser to reach the server.
class Guard {
 public:
  /// hosts: names beside localhost and the loopback addresses under which a server that listens on
  /// a loopback address may be asked; of other servers the names are not known.
  Guard(const HttpOptions& http, std::vector<std::string> hosts);

  /// Throws ApiError 403: for a Host that is none of ours (a name that was made to point here: DNS
  /// rebinding), and for an Origin that is neither the server's own nor one of cors_origins.
  void check(const HttpRequest& request) const;

 private:
  bool knows(std::string_view host) const;

  HttpOptions http_;
  std::vector<std::string> hosts_;
  bool loopback_;
};

/// "name" of "name:8080", "::1" of "[::1]:8080"; in lower case.
std::string host_name(std::string_view host);

}  // namespace corral::serve
