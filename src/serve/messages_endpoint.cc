// /v1/messages and /v1/messages/count_tokens
#include <utility>

#include "serve/api_error.h"
#include "serve/chat_json_body.h"
#include "serve/endpoints.h"
#include "text/assistant_stream.h"
#include "text/chat.h"

namespace corral::serve {
namespace {

std::string event(const OrderedJson& json) {
  return "event: " + json["type"].get<std::string>() + "\n" + sse_event(dump(json));
}

/// Prompt tokens found in the cache are counted beside the others here, not among them.
OrderedJson anthropic_usage(const Usage& usage) {
  OrderedJson json;
  json["input_tokens"] = usage.prompt_tokens - usage.cached_tokens;
  json["cache_creation_input_tokens"] = 0;
  json["cache_read_input_tokens"] = usage.cached_tokens;
  json["output_tokens"] = usage.completion_tokens;
  return json;
}

/// Common to both ways of writing an answer.
class MessageWriter : public AnswerWriter {
 public:
  MessageWriter(Service& service, ResponderPtr responder, const ChatRequest& request)
      : responder_(std::move(responder)),
        with_tools_(!request.tools.empty()),
        id_(service.new_id("msg_")),
        call_prefix_(service.new_id("toolu_")),
        model_(service.model()) {}

 protected:
  OrderedJson message(OrderedJson content, const Usage& usage) const {
    OrderedJson json;
    json["id"] = id_;
    json["type"] = "message";
    json["role"] = "assistant";
    json["model"] = model_;
    json["content"] = std::move(content);
    json["stop_reason"] = nullptr;
    json["stop_sequence"] = nullptr;
    json["usage"] = anthropic_usage(usage);
    return json;
  }
  void set_stop(OrderedJson& json) const {
    json["stop_reason"] = stop_reason_;
    json["stop_sequence"] = stop_string_.empty() ? OrderedJson() : OrderedJson(stop_string_);
  }
  OrderedJson call_json(size_t index, const text::ToolCall& call, bool with_input) const {
    OrderedJson json;
    json["type"] = "tool_use";
    json["id"] = str(call_prefix_, "_", index);
    json["name"] = call.name;
    json["input"] =
        with_input ? OrderedJson::parse(call.arguments, nullptr, false) : OrderedJson::object();
    if (!json["input"].is_object()) json["input"] = OrderedJson::object();
    return json;
  }
  void note(engine::FinishReason reason, bool calls) {
    if (calls) {
      stop_reason_ = "tool_use";
    } else if (reason == engine::FinishReason::kWithheld) {
      stop_reason_ = "refusal";
    } else if (reason == engine::FinishReason::kStopString) {
      stop_reason_ = "stop_sequence";
    } else {
      stop_reason_ = reason == engine::FinishReason::kLength ? "max_tokens" : "end_turn";
    }
  }

  ResponderPtr responder_;
  bool with_tools_;
  std::string id_;
  std::string call_prefix_;
  std::string model_;
  std::string stop_reason_;
  std::string stop_string_;
};

class WholeMessage : public MessageWriter {
 public:
  using MessageWriter::MessageWriter;

  void prompt(int64_t, const engine::PromptResult&) override {}
  void step(int64_t, const engine::Step& step) override {
    text_ += step.text;
    if (!step.stop_string.empty()) stop_string_ = step.stop_string;
  }
  void finished(int64_t, engine::FinishReason reason) override {
    text::ParsedAnswer parsed;
    if (with_tools_) parsed = text::parse_assistant(text_);
    const std::string& shown = !with_tools_                ? text_
                               : parsed.tool_calls.empty() ? parsed.content
                                                           : parsed.text_before_calls;
    if (!shown.empty()) content_.push_back({{"type", "text"}, {"text", shown}});
    for (size_t i = 0; i < parsed.tool_calls.size(); ++i) {
      content_.push_back(call_json(i, parsed.tool_calls[i], true));
    }
    note(reason, !parsed.tool_calls.empty());
  }
  void ended(const Usage& usage) override {
    OrderedJson json = message(std::move(content_), usage);
    set_stop(json);
    responder_->send({.body = dump(json)});
  }
  void failed(const ApiError& error) override {
    responder_->send(error_response(error, ErrorStyle::kAnthropic));
  }

 private:
  std::string text_;
  OrderedJson content_ = OrderedJson::array();
};

class StreamedMessage : public MessageWriter {
 public:
  using MessageWriter::MessageWriter;

  void prompt(int64_t, const engine::PromptResult& result) override {
    responder_->start_stream("text/event-stream");
    started_ = true;
    const Usage usage{.prompt_tokens = result.tokens, .cached_tokens = result.cached_tokens};
    OrderedJson json;
    json["type"] = "message_start";
    json["message"] = message(OrderedJson::array(), usage);
    responder_->write(event(json));
  }
  void step(int64_t, const engine::Step& step) override {
    if (!step.stop_string.empty()) stop_string_ = step.stop_string;
    say(with_tools_ ? stream_.push(step.text) : step.text);
  }
  void finished(int64_t, engine::FinishReason reason) override {
    text::ParsedAnswer answer;
    if (with_tools_) {
      auto rest = stream_.finish();
      say(rest.text);
      answer = std::move(rest.answer);
    }
    if (in_text_) stop_block();
    for (size_t i = 0; i < answer.tool_calls.size(); ++i) {
      start_block(call_json(i, answer.tool_calls[i], false));
      delta({{"type", "input_json_delta"}, {"partial_json", answer.tool_calls[i].arguments}});
      stop_block();
    }
    note(reason, !answer.tool_calls.empty());
  }
  void ended(const Usage& usage) override {
    OrderedJson json;
    json["type"] = "message_delta";
    json["delta"] = OrderedJson::object();
    set_stop(json["delta"]);
    json["usage"] = anthropic_usage(usage);
    responder_->write(event(json));
    responder_->write(event({{"type", "message_stop"}}));
    responder_->end();
  }
  void failed(const ApiError& error) override {
    if (!started_) return responder_->send(error_response(error, ErrorStyle::kAnthropic));
    responder_->write("event: error\n" + sse_event(error_json(error, ErrorStyle::kAnthropic)));
    responder_->end();
  }

 private:
  void say(const std::string& text) {
    if (text.empty()) return;
    if (!in_text_) start_block({{"type", "text"}, {"text", ""}});
    in_text_ = true;
    delta({{"type", "text_delta"}, {"text", text}});
  }
  void start_block(OrderedJson block) {
    OrderedJson json;
    json["type"] = "content_block_start";
    json["index"] = block_;
    json["content_block"] = std::move(block);
    responder_->write(event(json));
  }
  void delta(OrderedJson what) {
    OrderedJson json;
    json["type"] = "content_block_delta";
    json["index"] = block_;
    json["delta"] = std::move(what);
    responder_->write(event(json));
  }
  void stop_block() {
    in_text_ = false;
    responder_->write(event({{"type", "content_block_stop"}, {"index", block_++}}));
  }

  bool started_ = false;
  bool in_text_ = false;
  int64_t block_ = 0;
  text::AssistantStream stream_;
};

}  // namespace

void post_messages(Backend& backend, const Call& call) {
  ChatRequest request =
      read_chat(chat_body_of_messages(parse_body(call.http.body), /*counting=*/false));
  const Lease model = backend.shelf.open(request.answer.model);
  std::vector<engine::Request> requests;
  requests.push_back(chat_request(backend, *model, request, call.client));
  std::shared_ptr<AnswerWriter> writer;
  if (request.answer.stream) {
    writer = std::make_shared<StreamedMessage>(*model, call.responder, request);
  } else {
    writer = std::make_shared<WholeMessage>(*model, call.responder, request);
  }
  answer_moderated(backend.moderation, call, {request.messages}, model, std::move(requests),
                   std::move(writer));
}

void post_count_tokens(Backend& backend, const Call& call) {
  ChatRequest request =
      read_chat(chat_body_of_messages(parse_body(call.http.body), /*counting=*/true));
  const Lease model = backend.shelf.open(request.answer.model);
  const engine::Prompt prompt = chat_prompt_of(backend, *model, request);
  call.responder->send({.body = dump({{"input_tokens", prompt.tokens.size()}})});
  call.ended(200, {});
}

}  // namespace corral::serve
