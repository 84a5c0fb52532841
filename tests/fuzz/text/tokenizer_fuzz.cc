// Tokenizer files and the texts they encode. The first byte of the input chooses what the rest is.
#include <cstdint>
#include <string>

#include "base/error.h"
#include "fuzz/check.h"
#include "text/chat.h"
#include "text/tokenizer_files.h"

namespace corral::text {
namespace {

/// A tokenizer that a file described must give every text back.
void use(const TokenizerSpec& spec, std::string_view text) {
  const auto tokenizer = Tokenizer::create(spec);
  for (const SpecialText special : {SpecialText::kPlain, SpecialText::kAll}) {
    test::expect(tokenizer->decode(tokenizer->encode(text, {.special = special})) == text);
  }
  to_hf_tokenizer(*tokenizer);
}

/// The 256 bytes and a few tokens; enough for merges and every special token of the chat format.
TokenizerSpec small_spec() {
  TokenizerSpec spec;
  spec.pattern = kLlama4Pattern;
  for (int byte = 0; byte < 256; ++byte) spec.tokens.push_back({static_cast<char>(byte)});
  spec.tokens.insert(spec.tokens.end(), {"aa", "th", "the", " the", "aaaa", "\n\n", "\xF0\x9F"});
  TokenId id = 263;
  for (const char* name :
       {"<|begin_of_text|>", "<|header_start|>", "<|header_end|>", "<|eom|>", "<|eot|>"}) {
    spec.specials[name] = id++;
  }
  return spec;
}

void run(std::string_view input) {
  if (input.empty()) return;
  const int choice = static_cast<unsigned char>(input[0]) % 5;
  input.remove_prefix(1);
  try {
    if (choice == 0) use(parse_tiktoken(input, "fuzz"), input);
    if (choice == 1) use(parse_hf_tokenizer(input, "fuzz"), input);
    if (choice == 2) use(small_spec(), input);
    if (choice == 3) {
      const ParsedAnswer answer = parse_assistant(input);
      const ChatFormat format(Tokenizer::create(small_spec()));
      ChatMessage message{.role = "assistant", .tool_calls = answer.tool_calls};
      format.render({&message, 1}, {});
    }
    if (choice == 4) {
      TokenizerSpec spec = small_spec();
      spec.pattern = input.substr(0, input.size() / 2);
      use(spec, input);
    }
  } catch (const Error&) {
  }
}

}  // namespace
}  // namespace corral::text

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  corral::text::run({reinterpret_cast<const char*>(data), size});
  return 0;
}
