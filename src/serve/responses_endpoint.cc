// /v1/responses
#include <utility>

#include "serve/api_error.h"
#include "serve/chat_json_body.h"
#include "serve/endpoints.h"
#include "text/assistant_stream.h"
#include "text/chat.h"

namespace corral::serve {
namespace {

/// What a response repeats of its request, and what is kept of it.
struct Frame {
  OrderedJson body;           // the request
  OrderedJson messages = {};  // of the conversation, without instructions
  std::string client;
  ResponseStore* store = nullptr;  // null: the client wants nothing kept
};

OrderedJson value_or(const OrderedJson& body, const char* name, OrderedJson otherwise) {
  const auto found = body.find(name);
  return found == body.end() || found->is_null() ? std::move(otherwise) : *found;
}

/// Common to both ways of writing a response.
class ResponseWriter : public AnswerWriter {
 public:
  ResponseWriter(Service& service, ResponderPtr responder, const ChatRequest& request, Frame frame)
      : responder_(std::move(responder)),
        with_tools_(!request.tools.empty()),
        id_(service.new_id("resp_")),
        message_id_(service.new_id("msg_")),
        call_id_(service.new_id("call_")),
        function_id_(service.new_id("fc_")),
        model_(service.model()),
        created_(seconds_since_1970()),
        frame_(std::move(frame)) {}

 protected:
  OrderedJson response(const char* status) const {
    const OrderedJson& body = frame_.body;
    OrderedJson json;
    json["id"] = id_;
    json["object"] = "response";
    json["created_at"] = created_;
    json["status"] = status;
    json["background"] = false;
    json["error"] = nullptr;
    json["incomplete_details"] = nullptr;
    json["instructions"] = value_or(body, "instructions", nullptr);
    json["max_output_tokens"] = value_or(body, "max_output_tokens", nullptr);
    json["model"] = model_;
    json["output"] = OrderedJson::array();
    json["parallel_tool_calls"] = value_or(body, "parallel_tool_calls", true);
    json["previous_response_id"] = value_or(body, "previous_response_id", nullptr);
    json["reasoning"] = {{"effort", nullptr}, {"summary", nullptr}};
    json["store"] = frame_.store != nullptr;
    json["temperature"] = value_or(body, "temperature", 1.0);
    json["text"] = value_or(body, "text", {{"format", {{"type", "text"}}}});
    json["tool_choice"] = value_or(body, "tool_choice", "auto");
    json["tools"] = value_or(body, "tools", OrderedJson::array());
    json["top_p"] = value_or(body, "top_p", 1.0);
    json["truncation"] = value_or(body, "truncation", "disabled");
    json["usage"] = nullptr;
    json["user"] = value_or(body, "user", nullptr);
    json["metadata"] = value_or(body, "metadata", OrderedJson::object());
    return json;
  }
  static OrderedJson text_part(const std::string& text) {
    OrderedJson part;
    part["type"] = "output_text";
    part["text"] = text;
    part["annotations"] = OrderedJson::array();
    part["logprobs"] = OrderedJson::array();
    return part;
  }
  OrderedJson message_item(const char* status, OrderedJson content) const {
    OrderedJson item;
    item["id"] = message_id_;
    item["type"] = "message";
    item["status"] = status;
    item["role"] = "assistant";
    item["content"] = std::move(content);
    return item;
  }
  OrderedJson call_item(size_t index, const text::ToolCall& call, const char* status,
                        const std::string& arguments) const {
    OrderedJson item;
    item["id"] = str(function_id_, "_", index);
    item["type"] = "function_call";
    item["status"] = status;
    item["call_id"] = str(call_id_, "_", index);
    item["name"] = call.name;
    item["arguments"] = arguments;
    return item;
  }
  void add_to_output(OrderedJson item) { output_.push_back(std::move(item)); }

  /// The whole response, which is kept if the client wants that.
  OrderedJson whole(const Usage& usage) {
    const bool cut = reason_ == engine::FinishReason::kLength;
    const bool withheld = reason_ == engine::FinishReason::kWithheld;
    OrderedJson json = response(cut || withheld ? "incomplete" : "completed");
    if (cut) json["incomplete_details"] = {{"reason", "max_output_tokens"}};
    if (withheld) json["incomplete_details"] = {{"reason", "content_filter"}};
    json["output"] = output_;
    OrderedJson counts;
    counts["input_tokens"] = usage.prompt_tokens;
    counts["input_tokens_details"] = {{"cached_tokens", usage.cached_tokens}};
    counts["output_tokens"] = usage.completion_tokens;
    counts["output_tokens_details"] = {{"reasoning_tokens", 0}};
    counts["total_tokens"] = usage.prompt_tokens + usage.completion_tokens;
    json["usage"] = std::move(counts);
    if (frame_.store != nullptr) keep(json);
    return json;
  }
  OrderedJson failure(const std::string& message) const {
    OrderedJson json = response("failed");
    json["error"] = {{"code", "server_error"}, {"message", message}};
    return json;
  }

  ResponderPtr responder_;
  bool with_tools_;
  std::string id_;
  std::string message_id_;
  std::string call_id_;
  std::string function_id_;
  std::string model_;
  int64_t created_;
  Frame frame_;
  engine::FinishReason reason_ = engine::FinishReason::kLength;

 private:
  void keep(const OrderedJson& response) {
    OrderedJson message;
    message["role"] = "assistant";
    message["content"] = "";
    for (const OrderedJson& item : output_) {
      if (item["type"] == "message") {
        message["content"] = item["content"].empty() ? "" : item["content"][0]["text"];
        continue;
      }
      if (!message.contains("tool_calls")) message["tool_calls"] = OrderedJson::array();
      message["tool_calls"].push_back(
          {{"id", item["call_id"]},
           {"type", "function"},
           {"function", {{"name", item["name"]}, {"arguments", item["arguments"]}}}});
    }
    frame_.messages.push_back(std::move(message));
    frame_.store->put(
        id_,
        {.client = frame_.client, .response = response, .messages = std::move(frame_.messages)});
  }

  OrderedJson output_ = OrderedJson::array();
};

class WholeResponse : public ResponseWriter {
 public:
  using ResponseWriter::ResponseWriter;

  void prompt(int64_t, const engine::PromptResult&) override {}
  void step(int64_t, const engine::Step& step) override { text_ += step.text; }
  void finished(int64_t, engine::FinishReason reason) override {
    reason_ = reason;
    text::ParsedAnswer parsed;
    if (with_tools_) parsed = text::parse_assistant(text_);
    const std::string& shown = !with_tools_                ? text_
                               : parsed.tool_calls.empty() ? parsed.content
                                                           : parsed.text_before_calls;
    if (!shown.empty() || parsed.tool_calls.empty()) {
      add_to_output(message_item("completed", OrderedJson::array({text_part(shown)})));
    }
    for (size_t i = 0; i < parsed.tool_calls.size(); ++i) {
      const text::ToolCall& call = parsed.tool_calls[i];
      add_to_output(call_item(i, call, "completed", call.arguments));
    }
  }
  void ended(const Usage& usage) override { responder_->send({.body = dump(whole(usage))}); }
  void failed(const ApiError& error) override { responder_->send(error_response(error)); }

 private:
  std::string text_;
};

class StreamedResponse : public ResponseWriter {
 public:
  using ResponseWriter::ResponseWriter;

  void prompt(int64_t, const engine::PromptResult&) override {
    responder_->start_stream("text/event-stream");
    started_ = true;
    send("response.created", {{"response", response("in_progress")}});
    send("response.in_progress", {{"response", response("in_progress")}});
  }
  void step(int64_t, const engine::Step& step) override {
    say(with_tools_ ? stream_.push(step.text) : step.text);
  }
  void finished(int64_t, engine::FinishReason reason) override {
    reason_ = reason;
    text::ParsedAnswer answer;
    if (with_tools_) {
      auto rest = stream_.finish();
      say(rest.text);
      answer = std::move(rest.answer);
    }
    if (!in_text_ && answer.tool_calls.empty()) begin_text();
    if (in_text_) end_text();
    for (size_t i = 0; i < answer.tool_calls.size(); ++i) send_call(i, answer.tool_calls[i]);
  }
  void ended(const Usage& usage) override {
    const OrderedJson json = whole(usage);
    const bool cut = json["status"] == "incomplete";
    send(cut ? "response.incomplete" : "response.completed", {{"response", json}});
    responder_->end();
  }
  void failed(const ApiError& error) override {
    if (!started_) return responder_->send(error_response(error));
    send("response.failed", {{"response", failure(error.what())}});
    responder_->end();
  }

 private:
  void send(const char* type, OrderedJson more) {
    OrderedJson json;
    json["type"] = type;
    json["sequence_number"] = sequence_++;
    for (auto& [name, value] : more.items()) json[name] = std::move(value);
    responder_->write(str("event: ", type, "\n") + sse_event(dump(json)));
  }
  OrderedJson place(OrderedJson more) const {
    OrderedJson json;
    json["item_id"] = message_id_;
    json["output_index"] = item_;
    json["content_index"] = 0;
    for (auto& [name, value] : more.items()) json[name] = std::move(value);
    return json;
  }
  void begin_text() {
    in_text_ = true;
    send("response.output_item.added",
         {{"output_index", item_}, {"item", message_item("in_progress", OrderedJson::array())}});
    send("response.content_part.added", place({{"part", text_part("")}}));
  }
  void say(const std::string& text) {
    if (text.empty()) return;
    if (!in_text_) begin_text();
    text_ += text;
    send("response.output_text.delta",
         place({{"delta", text}, {"logprobs", OrderedJson::array()}}));
  }
  void end_text() {
    in_text_ = false;
    send("response.output_text.done", place({{"text", text_}, {"logprobs", OrderedJson::array()}}));
    send("response.content_part.done", place({{"part", text_part(text_)}}));
    OrderedJson item = message_item("completed", OrderedJson::array({text_part(text_)}));
    send("response.output_item.done", {{"output_index", item_++}, {"item", item}});
    add_to_output(std::move(item));
  }
  void send_call(size_t index, const text::ToolCall& call) {
    OrderedJson item = call_item(index, call, "in_progress", "");
    const OrderedJson id = item["id"];
    send("response.output_item.added", {{"output_index", item_}, {"item", item}});
    send("response.function_call_arguments.delta",
         {{"item_id", id}, {"output_index", item_}, {"delta", call.arguments}});
    send("response.function_call_arguments.done", {{"item_id", id},
                                                   {"output_index", item_},
                                                   {"name", call.name},
                                                   {"arguments", call.arguments}});
    item = call_item(index, call, "completed", call.arguments);
    send("response.output_item.done", {{"output_index", item_++}, {"item", item}});
    add_to_output(std::move(item));
  }

  bool started_ = false;
  bool in_text_ = false;
  int64_t sequence_ = 0;
  int64_t item_ = 0;
  std::string text_;
  text::AssistantStream stream_;
};

}  // namespace

void post_responses(Backend& backend, const Call& call) {
  Frame frame{.body = parse_body(call.http.body), .client = call.client};
  const Fields fields(frame.body);
  OrderedJson earlier = OrderedJson::array();
  if (const auto previous = fields.text("previous_response_id")) {
    const auto stored = backend.responses.get(*previous, call.client);
    if (stored == nullptr) {
      throw ApiError(404,
                     str("there is no response '", previous->substr(0, 100),
                         "' (any longer): send the whole conversation"),
                     "previous_response_id", "previous_response_not_found");
    }
    earlier = stored->messages;
  }
  OrderedJson chat = chat_body_of_responses(frame.body, earlier);
  if (fields.boolean("store").value_or(true)) {
    frame.store = &backend.responses;
    frame.messages = chat["messages"];
    if (fields.find("instructions") != nullptr) frame.messages.erase(0);
  }
  ChatRequest request = read_chat(std::move(chat));
  const Lease model = backend.shelf.open(request.answer.model);
  std::vector<engine::Request> requests;
  requests.push_back(chat_request(backend, *model, request, call.client));
  std::shared_ptr<AnswerWriter> writer;
  if (request.answer.stream) {
    writer = std::make_shared<StreamedResponse>(*model, call.responder, request, std::move(frame));
  } else {
    writer = std::make_shared<WholeResponse>(*model, call.responder, request, std::move(frame));
  }
  answer_moderated(backend.moderation, call, {request.messages}, model, std::move(requests),
                   std::move(writer));
}

HttpResponse stored_response(Backend& backend, const HttpRequest& request, const std::string& id,
                             const std::string& client) {
  const auto stored = backend.responses.get(id, client);
  if (stored == nullptr) {
    throw ApiError(404, str("there is no response '", id.substr(0, 100), "'"));
  }
  if (request.method == "GET") return {.body = dump(stored->response)};
  if (request.method != "DELETE") throw ApiError(405, request.path + " takes GET and DELETE only");
  backend.responses.remove(id, client);
  return {.body = dump({{"id", id}, {"object", "response"}, {"deleted", true}})};
}

}  // namespace corral::serve
