#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace corral::serve {

/// RFC 4648, with padding.
std::string base64_encode(std::string_view bytes);
/// The bytes; absent for anything that is not base64. Padding may be missing; the alphabet of URLs
/// (-_) is taken too, white space between is skipped.
std::optional<std::string> base64_decode(std::string_view text);

}  // namespace corral::serve
