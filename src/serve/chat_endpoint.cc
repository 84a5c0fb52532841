// /v1/chat/completions
#include <algorithm>
#include <map>
#include <utility>

#include "engine/image_prompt.h"
#include "serve/api_error.h"
#include "serve/endpoints.h"
#include "text/assistant_stream.h"
#include "text/chat.h"

namespace corral::serve {
namespace {

/// Common to both ways of writing an answer.
class ChatWriter : public AnswerWriter {
 public:
  ChatWriter(Service& service, ResponderPtr responder, const ChatRequest& request)
      : tokenizer_(service.tokenizer()),
        responder_(std::move(responder)),
        with_tools_(!request.tools.empty()),
        with_prediction_(request.prediction.has_value()),
        id_(service.new_id("chatcmpl-")),
        call_prefix_(service.new_id("call_")),
        model_(service.model()),
        created_(seconds_since_1970()) {}

  void prompt(int64_t, const engine::PromptResult&) override {}

 protected:
  OrderedJson head(const char* object) const {
    OrderedJson json;
    json["id"] = id_;
    json["object"] = object;
    json["created"] = created_;
    json["model"] = model_;
    return json;
  }
  OrderedJson logprob_json(const engine::TokenLogprob& token) const {
    const std::string_view bytes = tokenizer_->token_bytes(token.token);
    OrderedJson json;
    json["token"] = std::string(bytes);
    json["logprob"] = token.logprob;
    json["bytes"] = OrderedJson::array();
    for (const char byte : bytes) json["bytes"].push_back(static_cast<unsigned char>(byte));
    return json;
  }
  OrderedJson logprobs_json(const engine::TokenLogprobs& logprobs) const {
    OrderedJson json = logprob_json(logprobs.token);
    json["top_logprobs"] = OrderedJson::array();
    for (const auto& top : logprobs.top) json["top_logprobs"].push_back(logprob_json(top));
    return json;
  }
  // With an index in streams.
  OrderedJson calls_json(int64_t choice, const std::vector<text::ToolCall>& calls,
                         bool indexed) const {
    OrderedJson list = OrderedJson::array();
    for (size_t i = 0; i < calls.size(); ++i) {
      OrderedJson call;
      if (indexed) call["index"] = i;
      call["id"] = str(call_prefix_, "_", choice, "_", i);
      call["type"] = "function";
      call["function"] = {{"name", calls[i].name}, {"arguments", calls[i].arguments}};
      list.push_back(std::move(call));
    }
    return list;
  }

  // What was guessed is the client's business if it said what to guess.
  OrderedJson usage_of(const Usage& usage) const {
    OrderedJson json = usage_json(usage);
    if (with_prediction_) {
      json["completion_tokens_details"] = {
          {"accepted_prediction_tokens", usage.accepted},
          {"rejected_prediction_tokens", usage.drafted - usage.accepted}};
    }
    return json;
  }

  std::shared_ptr<const text::Tokenizer> tokenizer_;
  ResponderPtr responder_;
  bool with_tools_;
  bool with_prediction_;
  std::string id_;
  std::string call_prefix_;
  std::string model_;
  int64_t created_;
};

class WholeChat : public ChatWriter {
 public:
  using ChatWriter::ChatWriter;

  void step(int64_t choice, const engine::Step& step) override {
    ChoiceResult& result = choices_[choice];
    result.text += step.text;
    if (step.is_stop_token) return;
    if (step.logprobs) result.logprobs.push_back(*step.logprobs);
    if (!step.experts.empty()) result.experts.push_back(step.experts);
  }
  void finished(int64_t choice, engine::FinishReason reason) override {
    choices_[choice].reason = reason;
  }
  void ended(const Usage& usage) override {
    OrderedJson json = head("chat.completion");
    json["choices"] = OrderedJson::array();
    for (const auto& [index, result] : choices_) json["choices"].push_back(choice(index, result));
    json["usage"] = usage_of(usage);
    responder_->send({.body = dump(json)});
  }
  void failed(const ApiError& error) override { responder_->send(error_response(error)); }

 private:
  OrderedJson choice(int64_t index, const ChoiceResult& result) const {
    OrderedJson message;
    message["role"] = "assistant";
    message["content"] = result.text;
    std::string reason(finish_reason_name(result.reason));
    if (with_tools_) {
      const text::ParsedAnswer parsed = text::parse_assistant(result.text);
      message["content"] = parsed.content;
      if (!parsed.tool_calls.empty()) {
        message["content"] = parsed.text_before_calls.empty()
                                 ? OrderedJson()
                                 : OrderedJson(parsed.text_before_calls);
        message["tool_calls"] = calls_json(index, parsed.tool_calls, false);
        reason = "tool_calls";
      }
    }
    OrderedJson json;
    json["index"] = index;
    json["message"] = std::move(message);
    json["logprobs"] = nullptr;
    if (!result.logprobs.empty()) {
      OrderedJson list = OrderedJson::array();
      for (const auto& token : result.logprobs) list.push_back(logprobs_json(token));
      json["logprobs"] = {{"content", std::move(list)}};
    }
    if (!result.experts.empty()) json["expert_routing"] = result.experts;
    json["finish_reason"] = reason;
    return json;
  }

  std::map<int64_t, ChoiceResult> choices_;
};

class StreamedChat : public ChatWriter {
 public:
  StreamedChat(Service& service, ResponderPtr responder, const ChatRequest& request)
      : ChatWriter(service, std::move(responder), request), usage_(request.answer.stream_usage) {}

  void step(int64_t choice, const engine::Step& step) override {
    begin(choice);
    std::string text = step.text;
    if (with_tools_) text = tools_[choice].push(text);
    const bool logprobs = step.logprobs && !step.is_stop_token;
    const bool experts = !step.experts.empty() && !step.is_stop_token;
    if (text.empty() && !logprobs && !experts) return;
    OrderedJson entry = entry_of(choice, {{"content", text}});
    if (logprobs) {
      entry["logprobs"] = {{"content", OrderedJson::array({logprobs_json(*step.logprobs)})}};
    }
    if (experts) entry["expert_routing"] = OrderedJson::array({step.experts});
    send(std::move(entry));
  }
  void finished(int64_t choice, engine::FinishReason reason) override {
    begin(choice);
    std::string why(finish_reason_name(reason));
    if (with_tools_) {
      const auto rest = tools_[choice].finish();
      if (!rest.text.empty()) send(entry_of(choice, {{"content", rest.text}}));
      if (!rest.answer.tool_calls.empty()) {
        send(entry_of(choice, {{"tool_calls", calls_json(choice, rest.answer.tool_calls, true)}}));
        why = "tool_calls";
      }
    }
    OrderedJson last = entry_of(choice, OrderedJson::object());
    last["finish_reason"] = why;
    send(std::move(last));
  }
  void ended(const Usage& usage) override {
    if (usage_) {
      OrderedJson json = head("chat.completion.chunk");
      json["choices"] = OrderedJson::array();
      json["usage"] = usage_of(usage);
      responder_->write(sse_event(dump(json)));
    }
    responder_->write(sse_event("[DONE]"));
    responder_->end();
  }
  void failed(const ApiError& error) override {
    if (!started_) return responder_->send(error_response(error));
    responder_->write(sse_event(error_json(error)));
    responder_->end();
  }

 private:
  static OrderedJson entry_of(int64_t choice, OrderedJson delta) {
    OrderedJson entry;
    entry["index"] = choice;
    entry["delta"] = std::move(delta);
    entry["logprobs"] = nullptr;
    entry["finish_reason"] = nullptr;
    return entry;
  }
  void begin(int64_t choice) {
    if (!started_) responder_->start_stream("text/event-stream");
    started_ = true;
    if (begun_[choice]) return;
    begun_[choice] = true;
    send(entry_of(choice, {{"role", "assistant"}, {"content", ""}}));
  }
  void send(OrderedJson entry) {
    OrderedJson json = head("chat.completion.chunk");
    json["choices"] = OrderedJson::array({std::move(entry)});
    if (usage_) json["usage"] = nullptr;
    responder_->write(sse_event(dump(json)));
  }

  bool usage_;
  bool started_ = false;
  std::map<int64_t, bool> begun_;
  std::map<int64_t, text::AssistantStream> tools_;
};

}  // namespace

void post_chat_completions(Backend& backend, const Call& call) {
  ChatRequest request = parse_chat(call.http.body);
  const Lease model = backend.shelf.open(request.answer.model);
  std::vector<engine::Request> requests;
  requests.push_back(chat_request(backend, *model, request, call.client));
  std::shared_ptr<AnswerWriter> writer;
  if (request.answer.stream) {
    writer = std::make_shared<StreamedChat>(*model, call.responder, request);
  } else {
    writer = std::make_shared<WholeChat>(*model, call.responder, request);
  }
  answer_moderated(backend.moderation, call, {request.messages}, model, std::move(requests),
                   std::move(writer));
}

engine::Prompt chat_prompt_of(Backend& backend, Service& model, ChatRequest& request) {
  auto images = look(model.eyes(), request.messages, request.media, backend.media);
  try {
    const text::ChatFormat format(model.tokenizer());
    return engine::chat_prompt(format, request.messages, std::move(images),
                               {.tools = request.tools});
  } catch (const UsageError& error) {
    throw ApiError(400, error.what(), "messages");
  }
}

engine::Request chat_request(Backend& backend, Service& model, ChatRequest& request,
                             const std::string& client) {
  engine::Request result =
      model.request(request.answer, chat_prompt_of(backend, model, request), client);
  result.expert_routing = request.expert_routing;
  if (request.prediction) {
    result.expected = model.tokenizer()->encode(*request.prediction);
    // More than fits cannot come.
    const auto most = static_cast<size_t>(model.engine().context_tokens());
    result.expected.resize(std::min(result.expected.size(), most));
  }
  return result;
}

}  // namespace corral::serve
