#include "text/chat_json.h"

#include "base/error.h"
#include "text/python_json.h"
#include "text/unicode.h"

namespace corral::text {
namespace {

/// One message; complaints name it by its place.
class MessageReader {
 public:
  MessageReader(const OrderedJson& message, size_t place) : message_(message), place_(place) {}

  ChatMessage read() {
    if (!message_.is_object()) fail("is no object");
    ChatMessage message{.role = text_of(message_, "role")};
    if (const OrderedJson* content = find(message_, "content")) read_content(*content, message);
    if (const OrderedJson* calls = find(message_, "tool_calls")) {
      if (!calls->is_array()) fail("has tool_calls that are no list");
      for (const OrderedJson& call : *calls) message.tool_calls.push_back(read_call(call));
    }
    if (find(message_, "stop_reason") != nullptr) {
      message.stop_reason = stop_reason_from_string(text_of(message_, "stop_reason"));
    }
    if (find(message_, "context") != nullptr) message.context = text_of(message_, "context");
    return message;
  }

 private:
  [[noreturn]] void fail(const std::string& why) const {
    throw UsageError(str("chat: message ", place_, " ", why));
  }

  /// Null counts as absent.
  static const OrderedJson* find(const OrderedJson& object, const char* name) {
    const auto found = object.find(name);
    return found == object.end() || found->is_null() ? nullptr : &*found;
  }

  std::string text_of(const OrderedJson& object, const char* name) const {
    const OrderedJson* value = find(object, name);
    if (value == nullptr || !value->is_string()) fail(str("has no text \"", name, "\""));
    return value->get<std::string>();
  }

  void read_content(const OrderedJson& content, ChatMessage& message) const {
    if (content.is_string()) {
      message.content.push_back({ContentItem::Kind::kText, content.get<std::string>()});
      return;
    }
    if (!content.is_array()) fail("has a content that is neither text nor a list");
    for (const OrderedJson& item : content) message.content.push_back(read_item(item));
  }

  ContentItem read_item(const OrderedJson& item) const {
    if (item.is_string()) return {ContentItem::Kind::kText, item.get<std::string>()};
    if (!item.is_object()) fail("has a content item that is no object");
    if (find(item, "text") != nullptr) return {ContentItem::Kind::kText, text_of(item, "text")};
    for (const char* name : {"image", "url", "path"}) {
      const OrderedJson* image = find(item, name);
      if (image != nullptr && image->is_string()) {
        return {ContentItem::Kind::kImage, image->get<std::string>()};
      }
    }
    if (const OrderedJson* link = find(item, "image_url")) {
      if (link->is_string()) return {ContentItem::Kind::kImage, link->get<std::string>()};
      if (link->is_object()) return {ContentItem::Kind::kImage, text_of(*link, "url")};
    }
    const OrderedJson* type = find(item, "type");
    if (type != nullptr && *type == "image") return {ContentItem::Kind::kImage, ""};
    fail("has a content item that is neither text nor image");
  }

  ToolCall read_call(const OrderedJson& outer) const {
    if (!outer.is_object()) fail("has a tool call that is no object");
    const OrderedJson* function = find(outer, "function");
    const OrderedJson& call = function != nullptr && function->is_object() ? *function : outer;
    ToolCall result{.name = text_of(call, "name")};
    const OrderedJson* arguments = find(call, "arguments");
    if (arguments == nullptr) return result;
    if (arguments->is_string()) {
      result.arguments = arguments->get<std::string>();
    } else if (arguments->is_object()) {
      result.arguments = arguments->dump();
    } else {
      fail("has a tool call whose arguments are neither an object nor JSON text");
    }
    return result;
  }

  const OrderedJson& message_;
  size_t place_;
};

}  // namespace

std::vector<ChatMessage> messages_from_json(const OrderedJson& messages) {
  if (!messages.is_array()) throw UsageError("chat: the messages are no list");
  std::vector<ChatMessage> result;
  for (const OrderedJson& message : messages) {
    result.push_back(MessageReader(message, result.size()).read());
  }
  return result;
}

int64_t count_images(std::span<const ChatMessage> messages) {
  int64_t images = 0;
  for (const ChatMessage& message : messages) {
    for (const ContentItem& item : message.content) {
      images += item.kind == ContentItem::Kind::kImage ? 1 : 0;
    }
  }
  return images;
}

OrderedJson to_json(const ParsedAnswer& answer) {
  OrderedJson calls = OrderedJson::array();
  for (const ToolCall& call : answer.tool_calls) {
    const std::string name = utf8_with_replacement(call.name);
    calls.push_back({{"name", name},
                     {"arguments", try_parse_json(call.arguments).value_or(OrderedJson::object())},
                     {"arguments_json", call.arguments},
                     {"builtin", is_builtin_tool(call.name)}});
  }
  return {{"content", utf8_with_replacement(answer.content)},
          {"text_before_calls", utf8_with_replacement(answer.text_before_calls)},
          {"tool_calls", calls},
          {"stop_reason", to_string(answer.stop_reason)}};
}

}  // namespace corral::text
