#include "text/json_call_rows.h"

#include <algorithm>
#include <utility>

#include "text/python_literal.h"

namespace corral::text {
namespace {

constexpr std::string_view kBetween = " \t\r\n;,";
constexpr std::string_view kBetweenInArray = " \t\r\n,";

/// The arguments in a JSON call: "parameters" as Llama is told, "arguments" as other models write.
const OrderedJson* arguments_of(const OrderedJson& call) {
  for (const char* key : {"parameters", "arguments"}) {
    const auto found = call.find(key);
    if (found != call.end()) return found->is_object() ? &*found : nullptr;
  }
  return nullptr;
}

bool describes_call(const OrderedJson& object) {
  const auto name = object.find("name");
  return name != object.end() && name->is_string() && arguments_of(object) != nullptr;
}

bool open_array(std::string_view& text) {
  if (!text.starts_with('[')) return false;
  text.remove_prefix(1);
  skip(text, kSpace);
  return true;
}

/// Is this the bracket that closes an array, and the end of the text behind it?
bool closes_all(std::string_view text) {
  text.remove_prefix(1);
  skip(text, kSpace);
  return text.empty();
}

}  // namespace

void skip(std::string_view& text, std::string_view characters) {
  text.remove_prefix(std::min(text.find_first_not_of(characters), text.size()));
}

ToolCall make_call(std::string name, const OrderedJson& arguments) {
  OrderedJson named = arguments;
  // Models call the built-in functions in the form of the others, with parameters named as they
  // like.
  if (is_builtin_tool(name) && !arguments.empty()) {
    named = OrderedJson::object();
    named[name == "code_interpreter" ? "code" : "query"] = arguments.begin().value();
  }
  return {std::move(name), python_json(named)};
}

std::optional<OrderedJson> take_object(std::string_view& text) {
  int depth = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '"') {
      i = end_of_json_string(text, i);
    } else if (c == '{' || c == '[') {
      ++depth;
    } else if ((c == '}' || c == ']') && --depth == 0) {
      std::optional<OrderedJson> object = try_parse_json(text.substr(0, i + 1));
      if (!object) break;
      text.remove_prefix(i + 1);
      return object->is_object() ? object : std::nullopt;
    }
  }
  auto literal = parse_python_literal(text);
  if (!literal || !literal->first.is_object()) return std::nullopt;
  text.remove_prefix(literal->second);
  return std::move(literal->first);
}

std::vector<ToolCall> JsonCallRows::calls(size_t at) {
  std::string_view text = text_.substr(at);
  const bool is_array = open_array(text);
  std::vector<ToolCall> calls;
  std::vector<size_t> objects;
  while (!text.empty()) {
    const size_t here = text_.size() - text.size();
    if (is_array && text[0] == ']' && !calls.empty()) {
      return closes_all(text) ? calls : std::vector<ToolCall>{};
    }
    const bool hopeless = !is_array && without_calls_.contains(here);
    if (!is_array) objects.push_back(here);
    const auto object = !hopeless && text[0] == '{' ? take_object(text) : std::nullopt;
    if (!object || !describes_call(*object)) {
      without_calls_.insert(objects.begin(), objects.end());
      return {};
    }
    calls.push_back(make_call((*object)["name"].get<std::string>(), *arguments_of(*object)));
    skip(text, is_array ? kBetweenInArray : kBetween);
  }
  return calls;
}

bool JsonCallRows::may_become_calls(size_t at) {
  std::string_view text = text_.substr(at);
  const bool is_array = open_array(text);
  std::vector<size_t> objects;
  const auto answer = [&](bool may) {
    for (const size_t object : objects) may_become_[object] = may;
    return may;
  };
  for (skip(text, kSpace); !text.empty(); skip(text, kBetween)) {
    if (is_array && text[0] == ']') return closes_all(text);
    if (text[0] != '{') return answer(false);
    const size_t here = text_.size() - text.size();
    if (!is_array) {
      if (const auto known = may_become_.find(here); known != may_become_.end()) {
        return answer(known->second);
      }
      objects.push_back(here);
    }
    OrderedJson object;
    const Viability viability = take_viable_object(text, object);
    if (viability == Viability::kRunsOut) return answer(true);
    if (viability == Viability::kWrong || !describes_call(object)) return answer(false);
  }
  return answer(true);
}

}  // namespace corral::text
