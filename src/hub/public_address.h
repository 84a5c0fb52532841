#pragma once

#include <string>
#include <string_view>

struct sockaddr;

namespace corral::hub {

/// True for addresses of the internet at large; false for this machine's, private, link-local,
/// shared, reserved, documentation and multicast ones, and for IPv6 addresses that stand for IPv4
/// ones (mapped, NAT64, 6to4, Teredo), which may stand for a private one.
/// Source: IANA's special-purpose address registries for IPv4 and IPv6.
bool is_public_address(const sockaddr& address);
/// The same for an address in text; false for text that is none.
bool is_public_address(std::string_view text);

}  // namespace corral::hub
