#include <array>
#include <charconv>

#include "base/error.h"
#include "base/file.h"
#include "text/special_tokens.h"
#include "text/tokenizer_files.h"

namespace corral::text {
namespace {

constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr int64_t kMaxFileBytes = int64_t{1} << 28;

constexpr std::array<int8_t, 256> make_values() {
  std::array<int8_t, 256> values{};
  for (int8_t& value : values) value = -1;
  for (int8_t i = 0; i < 64; ++i) {
    values[static_cast<unsigned char>(kDigits[static_cast<size_t>(i)])] = i;
  }
  return values;
}
constexpr std::array<int8_t, 256> kValues = make_values();

/// False when it is not padded base64.
bool from_base64(std::string_view text, std::string& bytes) {
  if (text.empty() || text.size() % 4 != 0) return false;
  const size_t padding = text.ends_with("==") ? 2 : (text.ends_with("=") ? 1 : 0);
  bytes.clear();
  for (size_t at = 0; at < text.size(); at += 4) {
    uint32_t word = 0;
    const bool last = at + 4 == text.size();
    for (size_t i = 0; i < 4; ++i) {
      const bool is_padding = last && i >= 4 - padding;
      const int8_t value =
          is_padding ? int8_t{0} : kValues[static_cast<unsigned char>(text[at + i])];
      if (value < 0) return false;
      word = word << 6 | static_cast<uint32_t>(value);
    }
    bytes += static_cast<char>(word >> 16 & 0xFF);
    bytes += static_cast<char>(word >> 8 & 0xFF);
    bytes += static_cast<char>(word & 0xFF);
  }
  bytes.resize(bytes.size() - padding);
  return true;
}

void append_base64(std::string& text, std::string_view bytes) {
  for (size_t at = 0; at < bytes.size(); at += 3) {
    uint32_t word = 0;
    for (size_t i = 0; i < 3; ++i) {
      word = word << 8 | (at + i < bytes.size() ? static_cast<unsigned char>(bytes[at + i]) : 0u);
    }
    for (size_t i = 0; i < 4; ++i) {
      text += at + i > bytes.size() ? '=' : kDigits[word >> (18 - 6 * i) & 63];
    }
  }
}

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
  std::string bytes;
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
    if (!from_base64(line.substr(0, space), bytes)) fail("does not begin with base64");
    if (bytes.empty()) fail("has an empty token");
    const std::string_view digits = line.substr(space + 1);
    uint64_t rank = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), rank);
    if (error != std::errc{} || end != digits.data() + digits.size()) fail("has no number");
    if (rank >= most_tokens) fail(str("has rank ", rank, " in a file of fewer tokens"));
    if (rank >= spec.tokens.size()) spec.tokens.resize(rank + 1);
    if (!spec.tokens[rank].empty()) fail(str("repeats rank ", rank));
    spec.tokens[rank] = bytes;
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
  return parse_tiktoken(read_file(path, kMaxFileBytes), path.string(), std::move(specials));
}

std::string to_tiktoken(const Tokenizer& tokenizer) {
  const Vocabulary& vocabulary = tokenizer.vocabulary();
  std::string text;
  for (TokenId id = 0; id < vocabulary.size(); ++id) {
    if (vocabulary.bytes(id).empty()) {
      throw UsageError(str("tokenizer: no token has id ", id, ", a tokenizer.model has no holes"));
    }
    append_base64(text, vocabulary.bytes(id));
    text += ' ';
    text += std::to_string(id);
    text += '\n';
  }
  return text;
}

}  // namespace corral::text
