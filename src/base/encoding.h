#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

// Bytes as text: hexadecimal digits, base64, and the escapes of URLs.

namespace corral {

/// The value of a hexadecimal digit of either case; -1 for another character.
int hex_digit(char c);
/// Two digits in lower case for each byte.
std::string to_hex(std::string_view bytes);
/// The last `digits` digits of a number.
std::string to_hex(uint64_t value, int digits = 16);
/// The bytes; absent when it is not pairs of digits.
std::optional<std::string> from_hex(std::string_view text);

/// "%41" as "A" (RFC 3986); a percent sign before anything else stays.
std::string percent_decode(std::string_view text);

/// RFC 4648, with padding.
std::string base64_encode(std::string_view bytes);
/// The bytes; absent for anything that is not base64. Padding may be missing; the alphabet of URLs
/// (-_) is taken too, white space between is skipped.
std::optional<std::string> base64_decode(std::string_view text);
/// The same for padded base64 alone, as files have it. Absent for an empty text.
std::optional<std::string> base64_decode_padded(std::string_view text);

}  // namespace corral
