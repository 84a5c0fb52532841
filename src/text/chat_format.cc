#include "base/error.h"
#include "text/chat.h"
#include "text/image_layout.h"
#include "text/tool_calls.h"

namespace corral::text {

std::string_view to_string(StopReason reason) {
  switch (reason) {
    case StopReason::kEndOfTurn:
      return "end_of_turn";
    case StopReason::kEndOfMessage:
      return "end_of_message";
    case StopReason::kOutOfTokens:
      break;
  }
  return "out_of_tokens";
}

StopReason stop_reason_from_string(std::string_view name) {
  for (const StopReason reason :
       {StopReason::kEndOfTurn, StopReason::kEndOfMessage, StopReason::kOutOfTokens}) {
    if (name == to_string(reason)) return reason;
  }
  throw UsageError(
      str("chat: stop reason \"", name, "\", needs end_of_turn, end_of_message or out_of_tokens"));
}

ToolPromptFormat tool_prompt_format_from_string(std::string_view name) {
  if (name == "json") return ToolPromptFormat::kJson;
  if (name == "function_tag") return ToolPromptFormat::kFunctionTag;
  if (name == "python_list") return ToolPromptFormat::kPythonList;
  throw UsageError(
      str("chat: tool prompt format \"", name, "\", needs json, function_tag or python_list"));
}

ChatMessage text_message(std::string role, std::string text) {
  ChatMessage message{.role = std::move(role)};
  message.content.push_back({ContentItem::Kind::kText, std::move(text)});
  return message;
}

/// Puts the tokens of one prompt together.
class ChatFormat::Writer {
 public:
  Writer(const Tokenizer& tokenizer, const RenderOptions& options)
      : tokenizer_(tokenizer), options_(options) {}

  void special(std::string_view name) {
    const auto id = tokenizer_.special_id(name);
    if (!id) throw UsageError(str("chat: the vocabulary has no ", name));
    out_.ids.push_back(*id);
    mark();
  }

  void text(std::string_view text) {
    tokenizer_.encode_to(text, out_.ids);
    mark();
  }

  void header(std::string_view role) {
    special(special::kHeaderStart);
    text(role == "tool" ? "ipython" : role);
    special(special::kHeaderEnd);
    text("\n\n");
  }

  void content(std::span<const ContentItem> items) {
    for (const ContentItem& item : items) {
      if (item.kind == ContentItem::Kind::kText) {
        text(item.text);
      } else {
        image();
      }
    }
  }

  void message(const ChatMessage& message, std::string_view tools) {
    const bool is_assistant = message.role == "assistant";
    header(message.role);
    from_assistant_ = is_assistant;
    content(message.content);
    if (!tools.empty()) text(tools);
    if (message.role == "user" && message.context) {
      text("\n\n");
      text(*message.context);
    }
    if (is_assistant) {
      for (const ToolCall& call : message.tool_calls) {
        text(tool_call_text(call, options_.tool_prompt_format));
      }
    }
    const bool more_follows = message.role == "tool" ||
                              (is_assistant && (!message.tool_calls.empty() ||
                                                message.stop_reason == StopReason::kEndOfMessage));
    special(more_follows ? special::kEndOfMessage : special::kEndOfTurn);
    from_assistant_ = false;
  }

  RenderedPrompt finish() {
    if (images_ != options_.images.size()) {
      throw UsageError(
          str("chat: ", options_.images.size(), " image grids for ", images_, " images"));
    }
    return std::move(out_);
  }

 private:
  void mark() { out_.from_assistant.resize(out_.ids.size(), from_assistant_ ? 1 : 0); }

  void image() {
    if (images_ == options_.images.size()) {
      throw UsageError(str("chat: no grid given for image ", images_ + 1));
    }
    const auto ids = image_tokens(tokenizer_, options_.images[images_], options_.patches_per_tile);
    ++images_;
    out_.ids.insert(out_.ids.end(), ids.begin(), ids.end());
    mark();
  }

  const Tokenizer& tokenizer_;
  const RenderOptions& options_;
  RenderedPrompt out_;
  bool from_assistant_ = false;
  size_t images_ = 0;
};

ChatFormat::ChatFormat(std::shared_ptr<const Tokenizer> tokenizer)
    : tokenizer_(std::move(tokenizer)) {
  for (const std::string_view name :
       {special::kBeginOfText, special::kHeaderStart, special::kHeaderEnd, special::kEndOfTurn,
        special::kEndOfMessage}) {
    if (tokenizer_->special_id(name)) continue;
    throw UsageError(str("chat: the vocabulary has no ", name, ", which Llama 4's format needs"));
  }
}

RenderedPrompt ChatFormat::render(std::span<const ChatMessage> messages,
                                  const RenderOptions& options) const {
  Writer writer(*tokenizer_, options);
  writer.special(special::kBeginOfText);
  std::string tools;
  if (!options.tools.empty()) tools = tools_prompt(options.tools, options.tool_prompt_format);
  if (!tools.empty()) {
    if (messages.empty() || messages.front().role != "system") {
      writer.message(text_message("system", tools), {});
    } else {
      writer.message(messages.front(), "\n\n" + tools);
      messages = messages.subspan(1);
    }
  }
  for (const ChatMessage& message : messages) writer.message(message, {});
  if (options.add_generation_prompt) writer.header("assistant");
  return writer.finish();
}

std::vector<TokenId> ChatFormat::render_completion(std::span<const ContentItem> content,
                                                   const RenderOptions& options) const {
  Writer writer(*tokenizer_, options);
  writer.special(special::kBeginOfText);
  writer.content(content);
  return writer.finish().ids;
}

}  // namespace corral::text
