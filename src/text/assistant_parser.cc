#include <algorithm>

#include "text/chat.h"
#include "text/python_json.h"
#include "text/python_literal.h"

namespace corral::text {
namespace {

using Calls = std::vector<ToolCall>;

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

/// The JSON object at the beginning of `text`; moves `text` behind it. Falls back on a Python dict.
std::optional<OrderedJson> take_object(std::string_view& text) {
  int depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
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

/// <function=NAME>{...}, anywhere in the text, as often as it comes.
Calls function_tag_calls(std::string_view text) {
  constexpr std::string_view kOpen = "<function=";
  Calls calls;
  for (size_t at = text.find(kOpen); at != text.npos; at = text.find(kOpen)) {
    text.remove_prefix(at + kOpen.size());
    const size_t end = text.find(">{");
    if (end == text.npos) break;
    const std::string_view name = text.substr(0, end);
    if (name.empty() || name.find_first_of("}<\n") != name.npos) break;
    text.remove_prefix(end + 1);
    const auto arguments = take_object(text);
    if (!arguments) break;
    calls.push_back(make_call(std::string(name), *arguments));
  }
  return calls;
}

void skip(std::string_view& text, std::string_view characters) {
  text.remove_prefix(std::min(text.find_first_not_of(characters), text.size()));
}

/// One JSON object that describes a call, or several in a row and nothing else.
Calls json_calls(std::string_view text) {
  Calls calls;
  for (skip(text, " \t\r\n"); !text.empty(); skip(text, " \t\r\n;,")) {
    if (text[0] != '{') return {};
    const auto object = take_object(text);
    if (!object) return {};
    const auto name = object->find("name");
    const auto parameters = object->find("parameters");
    if (name == object->end() || !name->is_string()) return {};
    if (parameters == object->end() || !parameters->is_object()) return {};
    calls.push_back(make_call(name->get<std::string>(), *parameters));
  }
  return calls;
}

Calls python_calls(std::string_view text) {
  Calls calls;
  const auto parsed = parse_python_calls(text);
  if (!parsed) return calls;
  for (const PythonCall& call : *parsed) calls.push_back(make_call(call.name, call.arguments));
  return calls;
}

bool is_word_byte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         static_cast<unsigned char>(c) >= 0x80;
}

/// The first NAME.call(query="...") anywhere in the text.
Calls query_call(std::string_view text) {
  constexpr std::string_view kCall = ".call(query=\"";
  for (size_t at = text.find(kCall); at != text.npos; at = text.find(kCall, at + 1)) {
    size_t begin = at;
    while (begin > 0 && is_word_byte(text[begin - 1])) --begin;
    const size_t query = at + kCall.size();
    const size_t end = text.find('"', query);
    if (begin == at || end == text.npos || !text.substr(end).starts_with("\")")) continue;
    OrderedJson arguments;
    arguments["query"] = std::string(text.substr(query, end - query));
    return {{std::string(text.substr(begin, at - begin)), python_json(arguments)}};
  }
  return {};
}

Calls find_calls(std::string_view text, bool is_code) {
  for (const auto find : {function_tag_calls, json_calls, python_calls, query_call}) {
    Calls calls = find(text);
    if (!calls.empty()) return calls;
  }
  if (!is_code) return {};
  OrderedJson arguments;
  arguments["code"] = std::string(text);
  return {{"code_interpreter", python_json(arguments)}};
}

std::string without(std::string_view text, std::string_view part) {
  std::string kept;
  for (size_t at = text.find(part); at != text.npos; at = text.find(part)) {
    kept += text.substr(0, at);
    text.remove_prefix(at + part.size());
  }
  return kept.append(text);
}

bool take_suffix(std::string& text, std::string_view suffix) {
  if (!text.ends_with(suffix)) return false;
  text.resize(text.size() - suffix.size());
  return true;
}

}  // namespace

ParsedAnswer parse_assistant(std::string_view answer, StopReason if_unmarked) {
  constexpr std::string_view kHeader = "<|header_start|>assistant<|header_end|>\n\n";
  skip(answer, " ");
  answer = answer.substr(0, answer.find_last_not_of(' ') + 1);
  if (answer.starts_with(kHeader)) answer.remove_prefix(kHeader.size());
  const bool is_code = answer.starts_with(special::kPythonStart);
  if (is_code) answer.remove_prefix(special::kPythonStart.size());

  ParsedAnswer parsed{.content = std::string(answer), .stop_reason = if_unmarked};
  if (is_code) parsed.content = without(answer, special::kPythonEnd);
  if (take_suffix(parsed.content, special::kEndOfTurn)) {
    parsed.stop_reason = StopReason::kEndOfTurn;
  } else if (take_suffix(parsed.content, special::kEndOfMessage)) {
    parsed.stop_reason = StopReason::kEndOfMessage;
  }
  parsed.tool_calls = find_calls(parsed.content, is_code);
  if (!parsed.tool_calls.empty()) parsed.content.clear();
  return parsed;
}

}  // namespace corral::text
