#pragma once

#include <cstdint>
#include <memory>

#include "text/tokenizer.h"

namespace corral::text {

/// The smallest vocabulary there is: 256 bytes and compact_special_tokens().
inline constexpr int64_t kLeastLetterVocabulary = 288;

/// A tokenizer of exactly this many tokens that is made, not learned, for models with random
/// weights: the 256 bytes, then strings of small letters, the short ones first and those of one
/// length in the order of the alphabet (aa, ab, ...), and at the end Llama 4's special tokens, all
/// 2,048 where they fit, else the 32 of compact_special_tokens(). With Llama 4's own number of
/// tokens the special ones have Llama 4's ids. Throws UsageError for fewer than
/// kLeastLetterVocabulary and more than 2^22.
std::shared_ptr<const Tokenizer> letter_tokenizer(int64_t vocab_size);

}  // namespace corral::text
