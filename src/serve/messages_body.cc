// Anthropic's messages as a chat of OpenAI's.
#include <utility>

#include "serve/api_error.h"
#include "serve/chat_json_body.h"
#include "serve/requests.h"

namespace corral::serve {
namespace {

// What a request may hold.
constexpr std::string_view kMessageMembers[] = {
    "model",         "messages",      "max_tokens",
    "system",        "metadata",      "stop_sequences",
    "stream",        "temperature",   "top_k",
    "top_p",         "tools",         "tool_choice",
    "thinking",      "service_tier",  "output_config",
    "output_format", "container",     "mcp_servers",
    "betas",         "timeout",       "context_management",
    "inference_geo", "cache_control", "priority"};

OrderedJson text_part(std::string text) { return {{"type", "text"}, {"text", std::move(text)}}; }

/// {"type": "base64", "media_type", "data"} or {"type": "url", "url"}.
std::string url_of(const Fields& block) {
  const OrderedJson* source = block.find("source");
  if (source == nullptr || !source->is_object()) block.fail("source", "is no object");
  const Fields fields(*source, "source.");
  const std::string type = fields.need_text("type");
  if (type == "url") return fields.need_text("url");
  if (type != "base64") fields.fail("type", "is neither base64 nor url");
  return "data:" + fields.need_text("media_type") + ";base64," + fields.need_text("data");
}

/// A text or image block as a part of OpenAI's content; throws for others.
OrderedJson part_of_block(const OrderedJson& block) {
  if (!block.is_object()) throw ApiError(400, "a content block is no object", "messages");
  const Fields fields(block, "content.");
  const std::string type = fields.need_text("type");
  if (type == "text") return text_part(fields.need_text("text"));
  if (type == "image") return {{"type", "image_url"}, {"image_url", {{"url", url_of(fields)}}}};
  if (type == "document") {
    const OrderedJson* source = fields.find("source");
    if (source != nullptr && source->is_object() && source->value("type", "") == "text") {
      return text_part(Fields(*source, "source.").need_text("data"));
    }
    fields.fail("source", "of a document can only be text on this server");
  }
  fields.fail("type", str("'", type.substr(0, 40), "' is not known by this server"));
}

/// The parts of a text or a list of blocks.
OrderedJson parts_of(const OrderedJson& content, const char* where) {
  OrderedJson parts = OrderedJson::array();
  if (content.is_string()) {
    parts.push_back(text_part(content.get<std::string>()));
  } else if (content.is_array()) {
    for (const OrderedJson& block : content) parts.push_back(part_of_block(block));
  } else {
    throw ApiError(400, str(where, " is neither a text nor a list of content blocks"), where);
  }
  return parts;
}

class Conversation {
 public:
  void add(const OrderedJson& message) {
    if (!message.is_object()) throw ApiError(400, "a message is no object", "messages");
    const Fields fields(message, "messages.");
    const std::string role = fields.need_text("role");
    const OrderedJson* content = fields.find("content");
    if (content == nullptr) fields.fail("content", "is missing");
    if (role == "user") {
      add_user(*content);
    } else if (role == "assistant") {
      add_assistant(*content);
    } else {
      fields.fail("role", "is neither user nor assistant");
    }
  }
  OrderedJson take() { return std::move(messages_); }
  OrderedJson messages_ = OrderedJson::array();

 private:
  // Results of tools are messages of their own, before what the user says.
  void add_user(const OrderedJson& content) {
    if (!content.is_array()) {
      messages_.push_back({{"role", "user"}, {"content", parts_of(content, "content")}});
      return;
    }
    OrderedJson said = OrderedJson::array();
    for (const OrderedJson& block : content) {
      if (block.is_object() && block.value("type", OrderedJson()) == "tool_result") {
        const Fields fields(block, "content.");
        OrderedJson result;
        result["role"] = "tool";
        result["tool_call_id"] = fields.need_text("tool_use_id");
        const OrderedJson* inner = fields.find("content");
        result["content"] = inner == nullptr ? OrderedJson("") : parts_of(*inner, "content");
        messages_.push_back(std::move(result));
      } else {
        said.push_back(part_of_block(block));
      }
    }
    if (!said.empty()) messages_.push_back({{"role", "user"}, {"content", std::move(said)}});
  }

  void add_assistant(const OrderedJson& content) {
    OrderedJson message;
    message["role"] = "assistant";
    if (!content.is_array()) {
      message["content"] = parts_of(content, "content");
      messages_.push_back(std::move(message));
      return;
    }
    OrderedJson said = OrderedJson::array();
    OrderedJson calls = OrderedJson::array();
    for (const OrderedJson& block : content) {
      const OrderedJson type =
          block.is_object() ? block.value("type", OrderedJson()) : OrderedJson();
      if (type == "thinking" || type == "redacted_thinking") continue;
      if (type != "tool_use") {
        said.push_back(part_of_block(block));
        continue;
      }
      const Fields fields(block, "content.");
      const OrderedJson* input = fields.find("input");
      if (input == nullptr || !input->is_object()) fields.fail("input", "is no object");
      calls.push_back(
          {{"id", fields.need_text("id")},
           {"type", "function"},
           {"function", {{"name", fields.need_text("name")}, {"arguments", dump(*input)}}}});
    }
    message["content"] = std::move(said);
    if (!calls.empty()) message["tool_calls"] = std::move(calls);
    messages_.push_back(std::move(message));
  }
};

void add_message_tools(const Fields& fields, OrderedJson& chat) {
  const OrderedJson* tools = fields.find("tools");
  if (tools == nullptr) return;
  if (!tools->is_array()) fields.fail("tools", "is no list");
  chat["tools"] = OrderedJson::array();
  for (const OrderedJson& tool : *tools) {
    if (!tool.is_object()) fields.fail("tools", "has a part that is no object");
    const Fields one(tool, "tools.");
    if (one.text("type").value_or("custom") != "custom") {
      one.fail("type", "can only be custom on this server");
    }
    OrderedJson function;
    function["name"] = one.need_text("name");
    if (const auto description = one.text("description")) function["description"] = *description;
    const OrderedJson* schema = one.find("input_schema");
    if (schema == nullptr || !schema->is_object()) one.fail("input_schema", "is no object");
    function["parameters"] = *schema;
    chat["tools"].push_back({{"type", "function"}, {"function", std::move(function)}});
  }
}

void add_tool_choice(const Fields& fields, OrderedJson& chat) {
  const OrderedJson* choice = fields.find("tool_choice");
  if (choice == nullptr) return;
  if (!choice->is_object()) fields.fail("tool_choice", "is no object");
  const Fields one(*choice, "tool_choice.");
  const std::string type = one.need_text("type");
  if (type == "auto" || type == "none") {
    chat["tool_choice"] = type;
  } else if (type == "any") {
    chat["tool_choice"] = "required";
  } else if (type == "tool") {
    chat["tool_choice"] = {{"type", "function"}, {"function", {{"name", one.need_text("name")}}}};
  } else {
    one.fail("type", "is none of auto, any, tool and none");
  }
  if (one.boolean("disable_parallel_tool_use").value_or(false)) chat["parallel_tool_calls"] = false;
}

// {"format": {"type": "json_schema", "schema"}}
void add_message_format(const Fields& fields, OrderedJson& chat) {
  const OrderedJson* output = fields.find("output_config");
  const OrderedJson* format = fields.find("output_format");
  if (output != nullptr) {
    if (!output->is_object()) fields.fail("output_config", "is no object");
    format = Fields(*output, "output_config.").find("format");
  }
  if (format == nullptr) return;
  if (!format->is_object() || format->value("type", OrderedJson()) != "json_schema" ||
      !format->contains("schema")) {
    fields.fail("output_format", "is no {\"type\": \"json_schema\", \"schema\"}");
  }
  chat["response_format"] = {
      {"type", "json_schema"},
      {"json_schema", {{"name", "output"}, {"schema", (*format)["schema"]}}}};
}

}  // namespace

OrderedJson chat_body_of_messages(const OrderedJson& body, bool counting) {
  const Fields fields(body);
  fields.only(kMessageMembers);
  for (const char* name : {"container", "mcp_servers", "context_management"}) {
    const OrderedJson* value = fields.find(name);
    if (value != nullptr && !value->empty()) fields.fail(name, "is not supported by this server");
  }
  if (const OrderedJson* thinking = fields.find("thinking")) {
    if (!thinking->is_object() || thinking->value("type", OrderedJson()) != "disabled") {
      fields.fail("thinking", "can only be disabled: the model does not think aloud");
    }
  }
  OrderedJson chat;
  const auto copy = [&](const char* name, const char* as) {
    if (const OrderedJson* value = fields.find(name)) chat[as] = *value;
  };
  copy("model", "model");
  for (const NumberField& field : number::kMessagesFields) {
    if (fields.number(field)) copy(field.name, field.name);
  }
  if (!counting && fields.find("max_tokens") == nullptr) fields.fail("max_tokens", "is missing");
  copy("stop_sequences", "stop");
  copy("stream", "stream");
  Conversation conversation;
  if (const OrderedJson* system = fields.find("system")) {
    conversation.messages_.push_back(
        {{"role", "system"}, {"content", parts_of(*system, "system")}});
  }
  const OrderedJson* messages = fields.find("messages");
  if (messages == nullptr || !messages->is_array() || messages->empty()) {
    fields.fail("messages", "is no list of messages");
  }
  for (const OrderedJson& message : *messages) conversation.add(message);
  const OrderedJson& last = messages->back();
  if (last.value("role", OrderedJson()) == "assistant") {
    fields.fail("messages", "ends with the assistant: it must end with what the user says");
  }
  chat["messages"] = conversation.take();
  add_message_tools(fields, chat);
  add_tool_choice(fields, chat);
  add_message_format(fields, chat);
  return chat;
}

}  // namespace corral::serve
