#include <charconv>

#include "base/encoding.h"
#include "base/error.h"
#include "base/file.h"
#include "text/special_tokens.h"
#include "text/tokenizer_files.h"

namespace corral::text {
namespace {

std::string_view take_line(std::string_view& text) {
  const size_t end = text.find('\n');
  std::string_view line = text.substr(0, end);
  text.remove_prefix(end == text.npos ? text.size() : end + 1);
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

}  // namespace

TokenizerSpec parse_tiktoken(std::string_view text, const std::string& what,
                             std::vector<std::string> specials) {
  TokenizerSpec spec;
  spec.pattern = kLlama4Pattern;
  // No line is shorter than "QQ== 0\n", so the text bounds the number of ranks.
  const size_t most_tokens = text.size() / 6 + 1;
  size_t tokens = 0;
  for (int64_t number = 1; !text.empty(); ++number) {
    const std::string_view line = take_line(text);
    if (line.empty()) continue;
    const auto fail = [&](const std::string& why) {
      throw CorruptFile(str(what, ": line ", number, " ", why,
                            ", expected a base64 token, a space and its rank"));
    };
    const size_t space = line.find(' ');
    if (space == line.npos) fail("has no space");
    const auto bytes = base64_decode_padded(line.substr(0, space));
    if (!bytes) fail("does not begin with base64");
    if (bytes->empty()) fail("has an empty token");
    const std::string_view digits = line.substr(space + 1);
    uint64_t rank = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), rank);
    if (error != std::errc{} || end != digits.data() + digits.size()) fail("has no number");
    if (rank >= most_tokens) fail(str("has rank ", rank, " in a file of fewer tokens"));
    if (rank >= spec.tokens.size()) spec.tokens.resize(rank + 1);
    if (!spec.tokens[rank].empty()) fail(str("repeats rank ", rank));
    spec.tokens[rank] = *bytes;
    ++tokens;
  }
  if (tokens == 0) throw CorruptFile(str(what, ": no tokens in it"));
  if (tokens != spec.tokens.size()) {
    throw CorruptFile(str(what, ": ", tokens, " tokens, but ranks up to ", spec.tokens.size() - 1,
                          "; ranks must be 0 to ", tokens - 1));
  }
  if (specials.empty()) {
    specials = static_cast<int64_t>(tokens) == kLlama4Ranks ? llama4_special_tokens()
                                                            : compact_special_tokens();
  }
  auto id = static_cast<TokenId>(tokens);
  for (const std::string& special : specials) spec.specials[special] = id++;
  return spec;
}

TokenizerSpec read_tiktoken_file(const std::filesystem::path& path,
                                 std::vector<std::string> specials) {
  return parse_tiktoken(read_file(path, kMaxTokenizerBytes), path.string(), std::move(specials));
}

std::string to_tiktoken(const Tokenizer& tokenizer) {
  const Vocabulary& vocabulary = tokenizer.vocabulary();
  std::string text;
  for (TokenId id = 0; id < vocabulary.size(); ++id) {
    if (vocabulary.bytes(id).empty()) {
      throw UsageError(str("tokenizer: no token has id ", id, ", a tokenizer.model has no holes"));
    }
    text += base64_encode(vocabulary.bytes(id));
    text += ' ';
    text += std::to_string(id);
    text += '\n';
  }
  return text;
}

}  // namespace corral::text
