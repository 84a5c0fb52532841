#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace corral::text {

/// The number of ordinary tokens of the vocabulary that Meta published with Llama 4.
inline constexpr int64_t kLlama4Ranks = 200'000;

/// Llama 4's 2,048 special tokens in order of their ids (200000 to 202047).
const std::vector<std::string>& llama4_special_tokens();

/// The 32 that a small vocabulary keeps, spelled and ordered as in the full list: all that text,
/// chat, tools, images, fill-in-the-middle and reasoning use, and eleven reserved ones.
const std::vector<std::string>& compact_special_tokens();

}  // namespace corral::text
