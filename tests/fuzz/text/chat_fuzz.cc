// Answers of models and messages of users. The first byte chooses: an answer, which must read the
// same whole and in pieces, the sizes of which follow from the second byte; or messages in JSON.
#include <cstdint>
#include <string>

#include "base/error.h"
#include "fuzz/check.h"
#include "text/assistant_stream.h"
#include "text/chat_json.h"
#include "text/python_json.h"

namespace corral::text {
namespace {

/// The 256 bytes and the tokens of chats and images.
std::shared_ptr<const Tokenizer> byte_tokenizer() {
  static const auto tokenizer = [] {
    TokenizerSpec spec;
    spec.pattern = kLlama4Pattern;
    for (int byte = 0; byte < 256; ++byte) spec.tokens.push_back({static_cast<char>(byte)});
    TokenId id = 256;
    for (const char* name : {"<|begin_of_text|>", "<|header_start|>", "<|header_end|>", "<|eom|>",
                             "<|eot|>", "<|image_start|>", "<|image_end|>", "<|tile_x_separator|>",
                             "<|tile_y_separator|>", "<|image|>", "<|patch|>"}) {
      spec.specials[name] = id++;
    }
    return Tokenizer::create(spec);
  }();
  return tokenizer;
}

/// Calls that were read can be written, and reading an answer in pieces gives the same.
void read_answer(std::string_view input) {
  if (input.empty()) return;
  const size_t step = 1 + static_cast<unsigned char>(input[0]) % 16;
  const std::string_view text = input.substr(1);
  const ParsedAnswer whole = parse_assistant(text);
  const std::string& shown = whole.tool_calls.empty() ? whole.content : whole.text_before_calls;
  AssistantStream stream;
  std::string pieces;
  for (size_t at = 0; at < text.size(); at += step) pieces += stream.push(text.substr(at, step));
  const AssistantStream::End end = stream.finish();
  test::expect(pieces + end.text == shown);
  test::expect(end.answer.tool_calls == whole.tool_calls);
  to_json(whole).dump();
  const ChatFormat format(byte_tokenizer());
  ChatMessage message{.role = "assistant", .tool_calls = whole.tool_calls};
  for (const auto form :
       {ToolPromptFormat::kJson, ToolPromptFormat::kFunctionTag, ToolPromptFormat::kPythonList}) {
    format.render({&message, 1}, {.tool_prompt_format = form});
  }
}

void render_messages(std::string_view input) {
  const auto json = try_parse_json(input);
  if (!json || !json->is_object()) return;
  const auto messages = messages_from_json(json->value("messages", OrderedJson::array()));
  RenderOptions options;
  options.images.resize(static_cast<size_t>(count_images(messages)), {1, 2});
  options.patches_per_tile = 4;
  if (json->contains("tools")) options.tools = (*json)["tools"].dump();
  const ChatFormat format(byte_tokenizer());
  const RenderedPrompt prompt = format.render(messages, options);
  test::expect(prompt.ids.size() == prompt.from_assistant.size());
}

void run(std::string_view input) {
  if (input.empty()) return;
  try {
    if (input[0] % 2 == 0) read_answer(input.substr(1));
    if (input[0] % 2 != 0) render_messages(input.substr(1));
  } catch (const UsageError&) {
  }
}

}  // namespace
}  // namespace corral::text

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  corral::text::run({reinterpret_cast<const char*>(data), size});
  return 0;
}
