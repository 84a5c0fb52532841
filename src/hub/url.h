#pragma once

#include <string>
#include <string_view>

namespace corral::hub {

/// "https://HOST:PORT", lower case, the port always there. Throws UsageError for URLs that are
/// neither http nor https, that have no host, and that carry a user name.
std::string origin_of(const std::string& url);

/// Where a Location header leads, relative to the URL that answered with it. Throws Error for
/// anything but http and https, and for a step from https down to http.
std::string redirect_target(const std::string& from, const std::string& location);

/// May a secret travel to this URL? https, or http to this machine.
bool is_confidential(const std::string& url);

/// Is the host this machine: localhost, 127.x.x.x, ::1?
bool is_loopback(const std::string& url);

/// Percent-encodes everything but letters, digits and -._~ ("/" too, unless it is kept).
enum class Slash { kEncode, kKeep };
std::string url_encode(std::string_view text, Slash slash = Slash::kEncode);

/// The URL without query and fragment, which may hold signatures: for messages.
std::string for_display(const std::string& url);

}  // namespace corral::hub
