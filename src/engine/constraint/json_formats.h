#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "engine/constraint/char_automaton.h"

namespace corral::engine {

/// The texts of a format of JSON Schema: date-time, date, time, duration, uuid, ipv4, ipv6,
/// hostname, email, uri. All are valid; of what the RFCs allow beyond common use (comments in
/// addresses, leap seconds, IPv6 ending as IPv4) some is left out. nullopt for others.
std::optional<CharDfa> format_texts(std::string_view format);

/// The names of the formats, for messages.
std::string known_formats();

}  // namespace corral::engine
