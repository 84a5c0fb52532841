#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace corral::text {

/// The alphabet in which GPT-2 and everything after it writes byte strings as printable text: each
/// byte is one character. Printable Latin-1 stands for itself, the other 68 bytes for U+0100 on.
/// Used by tokenizer.json and by GGUF's tokenizer.ggml.tokens and merges.
std::string to_byte_level(std::string_view bytes);

/// The way back; nullopt when a character is not of the alphabet.
std::optional<std::string> from_byte_level(std::string_view text);

}  // namespace corral::text
