#include "text/letter_tokenizer.h"

#include <string>
#include <vector>

#include "base/error.h"
#include "text/special_tokens.h"
#include "text/splitter.h"

namespace corral::text {
namespace {

constexpr int64_t kBytes = 256;
constexpr int64_t kMost = int64_t{1} << 22;

}  // namespace

std::shared_ptr<const Tokenizer> letter_tokenizer(int64_t vocab_size) {
  if (vocab_size < kLeastLetterVocabulary || vocab_size > kMost) {
    throw UsageError(str("a made-up vocabulary has ", kLeastLetterVocabulary, " to ", kMost,
                         " tokens, not ", vocab_size));
  }
  const auto full = static_cast<int64_t>(llama4_special_tokens().size());
  const std::vector<std::string>& specials =
      vocab_size >= kBytes + full ? llama4_special_tokens() : compact_special_tokens();
  const auto ordinary = static_cast<size_t>(vocab_size) - specials.size();

  TokenizerSpec spec;
  spec.pattern = kLlama4Pattern;
  for (int64_t byte = 0; byte < kBytes; ++byte) {
    spec.tokens.emplace_back(1, static_cast<char>(byte));
  }
  // Every string is one that came before and a letter, so merging finds it.
  for (size_t shorter = 'a'; spec.tokens.size() < ordinary;
       shorter = shorter == 'z' ? kBytes : shorter + 1) {
    for (char letter = 'a'; letter <= 'z' && spec.tokens.size() < ordinary; ++letter) {
      spec.tokens.push_back(spec.tokens[shorter] + letter);
    }
  }
  for (size_t i = 0; i < specials.size(); ++i) {
    spec.specials.emplace(specials[i], static_cast<TokenId>(ordinary + i));
  }
  return Tokenizer::create(spec);
}

}  // namespace corral::text
