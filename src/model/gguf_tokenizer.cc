#include "base/error.h"
#include "model/gguf_checkpoint.h"
#include "model/gguf_keys.h"
#include "text/byte_level.h"
#include "text/splitter.h"
#include "text/tokenizer_spec.h"

namespace corral::model {
namespace {

std::string bytes_of_token(const io::GgufFile& file, std::string_view token) {
  const auto bytes = text::from_byte_level(token);
  if (!bytes) {
    throw CorruptFile(str(file.origin(), ": a token of ", gguf_key::kTokens,
                          " is not written in the byte-level alphabet"));
  }
  return *bytes;
}

void read_merges(const io::GgufFile& file, text::TokenizerSpec& spec) {
  const auto merges = file.find_strings(gguf_key::kMerges);
  if (!merges) return;
  for (const std::string_view merge : *merges) {
    // A space cannot be part of a token: the alphabet writes it as another character.
    const size_t space = merge.find(' ');
    if (space == merge.npos || merge.find(' ', space + 1) != merge.npos) {
      throw CorruptFile(
          str(file.origin(), ": a merge of ", gguf_key::kMerges, " is not two tokens"));
    }
    spec.merges.emplace_back(bytes_of_token(file, merge.substr(0, space)),
                             bytes_of_token(file, merge.substr(space + 1)));
  }
}

}  // namespace

std::shared_ptr<const text::Tokenizer> gguf_tokenizer(const io::GgufFile& file) {
  const auto model = file.find_string(gguf_key::kTokenizerModel);
  if (!model || *model == "none") return nullptr;
  const std::string pre = file.find_string(gguf_key::kTokenizerPre).value_or("");
  const auto pattern = file.find_string(gguf_key::kPattern);
  if (*model != "gpt2" || (pre != "llama4" && !pattern)) {
    throw NotSupported(str(file.origin(), ": tokenizer '", model->substr(0, 40), "' with pattern '",
                           pre.substr(0, 40), "', needs gpt2 with llama4"));
  }
  const auto tokens = file.get_strings(gguf_key::kTokens);
  const auto types = file.get_ints(gguf_key::kTokenTypes);
  if (types.size() != tokens.size()) {
    throw CorruptFile(
        str(file.origin(), ": ", tokens.size(), " tokens but ", types.size(), " token types"));
  }
  text::TokenizerSpec spec;
  spec.pattern = pattern.value_or(std::string(text::kLlama4Pattern));
  for (size_t id = 0; id < tokens.size(); ++id) {
    const bool special =
        types[id] == gguf_token_type::kControl || types[id] == gguf_token_type::kUserDefined;
    if (special) spec.specials.emplace(tokens[id], static_cast<text::TokenId>(id));
    const bool hole = special || types[id] == gguf_token_type::kUnused;
    spec.tokens.push_back(hole ? "" : bytes_of_token(file, tokens[id]));
  }
  // Ids behind the last ordinary token need no holes.
  while (!spec.tokens.empty() && spec.tokens.back().empty()) spec.tokens.pop_back();
  read_merges(file, spec);
  try {
    return text::Tokenizer::create(spec);
  } catch (const CorruptFile& error) {
    throw CorruptFile(str(file.origin(), ": ", error.what()));
  }
}

}  // namespace corral::model
