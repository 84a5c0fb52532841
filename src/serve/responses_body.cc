// OpenAI's responses as a chat.
#include <utility>

#include "serve/api_error.h"
#include "serve/chat_json_body.h"
#include "serve/requests.h"

namespace corral::serve {
namespace {

// What a request may hold.
constexpr std::string_view kResponseMembers[] = {"background",
                                                 "conversation",
                                                 "include",
                                                 "input",
                                                 "instructions",
                                                 "max_output_tokens",
                                                 "max_tool_calls",
                                                 "metadata",
                                                 "model",
                                                 "parallel_tool_calls",
                                                 "previous_response_id",
                                                 "priority",
                                                 "prompt",
                                                 "prompt_cache_key",
                                                 "prompt_cache_retention",
                                                 "reasoning",
                                                 "safety_identifier",
                                                 "seed",
                                                 "service_tier",
                                                 "store",
                                                 "stream",
                                                 "stream_options",
                                                 "temperature",
                                                 "text",
                                                 "timeout",
                                                 "tool_choice",
                                                 "tools",
                                                 "top_k",
                                                 "top_logprobs",
                                                 "top_p",
                                                 "truncation",
                                                 "user"};

OrderedJson part_of_input(const OrderedJson& part) {
  if (!part.is_object()) throw ApiError(400, "input has a content part that is no object", "input");
  const Fields fields(part, "input.content.");
  const std::string type = fields.need_text("type");
  if (type == "input_text" || type == "output_text" || type == "text") {
    return {{"type", "text"}, {"text", fields.need_text("text")}};
  }
  if (type == "refusal") return {{"type", "text"}, {"text", fields.need_text("refusal")}};
  if (type == "input_image") {
    OrderedJson link;
    link["url"] = fields.need_text("image_url");
    if (const auto detail = fields.text("detail")) link["detail"] = *detail;
    return {{"type", "image_url"}, {"image_url", std::move(link)}};
  }
  fields.fail("type", str("'", type.substr(0, 40), "' is not known by this server"));
}

OrderedJson content_of(const OrderedJson& content) {
  if (content.is_string()) return content;
  if (!content.is_array()) {
    throw ApiError(400, "input has a content that is neither text nor a list", "input");
  }
  OrderedJson parts = OrderedJson::array();
  for (const OrderedJson& part : content) parts.push_back(part_of_input(part));
  return parts;
}

// Calls follow the assistant's words in the message that they belong to.
void add_call(const Fields& fields, OrderedJson& messages) {
  OrderedJson call;
  call["id"] = fields.need_text("call_id");
  call["type"] = "function";
  call["function"] = {{"name", fields.need_text("name")},
                      {"arguments", fields.need_text("arguments")}};
  if (messages.empty() || messages.back()["role"] != "assistant") {
    messages.push_back({{"role", "assistant"}, {"content", ""}});
  }
  OrderedJson& message = messages.back();
  if (!message.contains("tool_calls")) message["tool_calls"] = OrderedJson::array();
  message["tool_calls"].push_back(std::move(call));
}

void add_item(const OrderedJson& item, OrderedJson& messages) {
  if (!item.is_object()) throw ApiError(400, "input has an item that is no object", "input");
  const Fields fields(item, "input.");
  const std::string type = fields.text("type").value_or("message");
  if (type == "message") {
    const OrderedJson* content = fields.find("content");
    if (content == nullptr) fields.fail("content", "is missing");
    messages.push_back({{"role", fields.need_text("role")}, {"content", content_of(*content)}});
  } else if (type == "function_call") {
    add_call(fields, messages);
  } else if (type == "function_call_output") {
    const OrderedJson* output = fields.find("output");
    if (output == nullptr) fields.fail("output", "is missing");
    messages.push_back({{"role", "tool"},
                        {"tool_call_id", fields.need_text("call_id")},
                        {"content", content_of(*output)}});
  } else if (type != "reasoning") {
    fields.fail("type", str("'", type.substr(0, 40), "' is not known by this server"));
  }
}

void add_response_tools(const Fields& fields, OrderedJson& chat) {
  const OrderedJson* tools = fields.find("tools");
  if (tools != nullptr) {
    if (!tools->is_array()) fields.fail("tools", "is no list");
    chat["tools"] = OrderedJson::array();
    for (const OrderedJson& tool : *tools) {
      if (!tool.is_object()) fields.fail("tools", "has a part that is no object");
      const Fields one(tool, "tools.");
      if (one.need_text("type") != "function") {
        one.fail("type", "can only be function on this server");
      }
      OrderedJson function = tool;
      function.erase("type");
      chat["tools"].push_back({{"type", "function"}, {"function", std::move(function)}});
    }
  }
  const OrderedJson* choice = fields.find("tool_choice");
  if (choice == nullptr) return;
  chat["tool_choice"] = *choice;
  if (!choice->is_object()) return;
  const Fields one(*choice, "tool_choice.");
  if (one.need_text("type") != "function") one.fail("type", "can only be function on this server");
  chat["tool_choice"] = {{"type", "function"}, {"function", {{"name", one.need_text("name")}}}};
}

void add_response_format(const Fields& fields, OrderedJson& chat) {
  const OrderedJson* text = fields.find("text");
  if (text == nullptr) return;
  if (!text->is_object()) fields.fail("text", "is no object");
  const OrderedJson* format = Fields(*text, "text.").find("format");
  if (format == nullptr) return;
  if (!format->is_object()) fields.fail("text", "has a format that is no object");
  chat["response_format"] = *format;
  if (format->value("type", OrderedJson()) != "json_schema") return;
  OrderedJson schema = *format;
  schema.erase("type");
  chat["response_format"] = {{"type", "json_schema"}, {"json_schema", std::move(schema)}};
}

// What would change the answer, or where it goes, and is not done here.
void refuse_others(const Fields& fields) {
  for (const char* name : {"background", "prompt", "conversation"}) {
    const OrderedJson* value = fields.find(name);
    if (value != nullptr && *value != OrderedJson(false)) {
      fields.fail(name, "is not supported by this server");
    }
  }
  const OrderedJson* include = fields.find("include");
  if (include != nullptr && !include->empty()) {
    for (const OrderedJson& what : *include) {
      if (what != "reasoning.encrypted_content")
        fields.fail("include", "is not supported by this server");
    }
  }
  const auto truncation = fields.text("truncation");
  if (truncation && *truncation != "disabled" && *truncation != "auto") {
    fields.fail("truncation", "is neither auto nor disabled");
  }
}

}  // namespace

OrderedJson chat_body_of_responses(const OrderedJson& body, const OrderedJson& earlier_messages) {
  const Fields fields(body);
  fields.only(kResponseMembers);
  refuse_others(fields);
  OrderedJson chat;
  for (const NumberField& field : number::kResponsesFields) {
    if (fields.number(field)) chat[field.name] = *fields.find(field.name);
  }
  if (chat.contains("max_output_tokens")) {
    chat["max_completion_tokens"] = chat["max_output_tokens"];
    chat.erase("max_output_tokens");
  }
  for (const char* name : {"model", "stream", "parallel_tool_calls"}) {
    if (const OrderedJson* value = fields.find(name)) chat[name] = *value;
  }
  OrderedJson messages = OrderedJson::array();
  if (const auto instructions = fields.text("instructions")) {
    messages.push_back({{"role", "system"}, {"content", *instructions}});
  }
  for (const OrderedJson& message : earlier_messages) messages.push_back(message);
  const OrderedJson* input = fields.find("input");
  if (input == nullptr) fields.fail("input", "is missing");
  if (input->is_string()) {
    messages.push_back({{"role", "user"}, {"content", *input}});
  } else if (input->is_array()) {
    for (const OrderedJson& item : *input) add_item(item, messages);
  } else {
    fields.fail("input", "is neither a text nor a list of items");
  }
  chat["messages"] = std::move(messages);
  add_response_tools(fields, chat);
  add_response_format(fields, chat);
  return chat;
}

}  // namespace corral::serve
