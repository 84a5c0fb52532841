#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer.h"

namespace corral::text {

/// How a finished assistant message ended.
enum class StopReason { kEndOfTurn, kEndOfMessage, kOutOfTokens };

/// "end_of_turn", "end_of_message", "out_of_tokens".
std::string_view to_string(StopReason reason);
/// Throws UsageError for any other name.
StopReason stop_reason_from_string(std::string_view name);

/// A call of a function. `arguments` is a JSON object; its members keep their order.
struct ToolCall {
  std::string name;
  std::string arguments = "{}";
  bool operator==(const ToolCall&) const = default;
};

/// A part of a message: text, or an image (then `text` is its path or URL).
struct ContentItem {
  enum class Kind { kText, kImage };
  Kind kind = Kind::kText;
  std::string text;
};

/// Roles: "system", "user", "assistant", "tool" (written as "ipython"); others are written as they
/// are.
struct ChatMessage {
  std::string role;
  std::vector<ContentItem> content = {};
  std::vector<ToolCall> tool_calls = {};       // of the assistant
  std::optional<StopReason> stop_reason = {};  // of the assistant; absent: end of turn
  std::optional<std::string> context = {};     // of the user: text to answer from
};

/// A message of one text.
ChatMessage text_message(std::string role, std::string text);

/// How the assistant writes calls of functions that are not built in.
enum class ToolPromptFormat {
  kJson,         // {"type": "function", "name": "f", "parameters": {"x": 1}}
  kFunctionTag,  // <function=f>{"x": 1}</function>
  kPythonList,   // [f(x=1)]
};

/// "json", "function_tag", "python_list". Throws UsageError for any other name.
ToolPromptFormat tool_prompt_format_from_string(std::string_view name);

/// Into how many tiles an image was cut; more than one tile also brings one of the whole image.
struct ImageGrid {
  int64_t rows = 1;
  int64_t columns = 1;
};

struct RenderOptions {
  /// Ends with the header of an assistant message.
  bool add_generation_prompt = true;
  ToolPromptFormat tool_prompt_format = ToolPromptFormat::kJson;
  /// The functions that the assistant may call, as a JSON array; empty: none. Their description is
  /// put behind the system message (our own wording: the reference leaves it to the caller).
  std::string tools = {};
  /// One for each image, in order.
  std::vector<ImageGrid> images = {};
  /// Of a 336-pixel tile: (336 / 14)^2 patches, of which the vision adapter joins four.
  int64_t patches_per_tile = 144;
};

struct RenderedPrompt {
  std::vector<TokenId> ids;
  /// One a token: 1 for what the assistant has to produce (its content, calls, and the end mark), 0
  /// for everything else. This is what a chat model is trained on.
  std::vector<uint8_t> from_assistant;
};

/// Llama 4's chat format, token by token as in Meta's reference: every header and every part of a
/// message is encoded on its own, always as plain text, so nothing that a user writes can become a
/// special token. Nothing is trimmed and no system prompt is added. Immutable, thread-safe.
class ChatFormat {
 public:
  /// Throws UsageError when the vocabulary lacks one of the tokens that every chat needs.
  explicit ChatFormat(std::shared_ptr<const Tokenizer> tokenizer);

  /// A whole conversation from begin_of_text on. Throws UsageError for arguments that are no JSON
  /// object, images without grid (or grids without image), and images in a vocabulary without
  /// image tokens.
  RenderedPrompt render(std::span<const ChatMessage> messages, const RenderOptions& options) const;

  /// Plain text, perhaps with images, after begin_of_text: for models that only continue.
  std::vector<TokenId> render_completion(std::span<const ContentItem> content,
                                         const RenderOptions& options) const;

  const Tokenizer& tokenizer() const { return *tokenizer_; }

 private:
  class Writer;
  std::shared_ptr<const Tokenizer> tokenizer_;
};

/// What an assistant's text says.
struct ParsedAnswer {
  /// The text. With calls it is empty, as the reference has it, except for text before calls that
  /// the reference does not recognise as such: see parse_assistant.
  std::string content = {};
  std::vector<ToolCall> tool_calls = {};
  /// The text before the first call, whatever its form; empty without calls.
  std::string text_before_calls = {};
  StopReason stop_reason = StopReason::kOutOfTokens;
};

/// Reads the text of an answer (special tokens spelled out), with or without its header and end
/// mark. Calls are recognised in all three formats, as NAME.call(query="..."), and as code after
/// <|python_start|>. Beyond the reference, so that whatever ChatFormat writes is read back: text
/// may come before JSON and [f(x=1)] calls that end the answer; several JSON calls may follow each
/// other or stand in an array; "arguments" may stand for "parameters"; the last bracket of a
/// [f(x=1)] list may be missing. Other text that looks like a call stays text; never throws.
ParsedAnswer parse_assistant(std::string_view text,
                             StopReason if_unmarked = StopReason::kOutOfTokens);

/// The functions that Llama models know without being told: their calls have a form of their own.
bool is_builtin_tool(std::string_view name);

}  // namespace corral::text
