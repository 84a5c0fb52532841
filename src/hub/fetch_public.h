#pragma once

#include <cstdint>
#include <functional>
#include <string>

struct sockaddr;

namespace corral::hub {

struct FetchOptions {
  int64_t max_bytes = 20 << 20;
  double seconds = 15;  // for all of it
  int64_t max_redirects = 3;
  /// Which addresses may be connected to; empty: is_public_address().
  std::function<bool(const sockaddr&)> allowed = {};
};

/// The body of what a stranger's http or https URL names. The address is judged at the moment of
/// the connection, redirects included, so that no name server can answer differently the second
/// time; no proxy, no user name, no other protocol. Thread-safe.
/// Throws Error saying why there is nothing: no such host, a refused address, another status than
/// 200, too much, too slow.
std::string fetch_public(const std::string& url, const FetchOptions& options = {});

}  // namespace corral::hub
