#include "text/tool_calls.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "text/python_json.h"

namespace corral::text {
namespace {

constexpr std::string_view kCodeInterpreter = "code_interpreter";
constexpr std::array<std::string_view, 3> kQueryTools = {"brave_search", "wolfram_alpha",
                                                         "photogen"};

/// A value in a [f(x=...)] call, written as the reference does: strings quoted but not escaped, and
/// objects with = between name and value.
std::string python_value(const OrderedJson& value) {
  if (value.is_string()) return '"' + value.get<std::string>() + '"';
  if (value.is_boolean()) return value.get<bool>() ? "True" : "False";
  if (value.is_null()) return "None";
  if (!value.is_structured()) return python_json(value);
  std::string text = value.is_array() ? "[" : "{";
  const char* separator = "";
  for (const auto& [key, member] : value.items()) {
    text += separator;
    if (value.is_object()) text += key + "=";
    text += python_value(member);
    separator = ", ";
  }
  return text + (value.is_array() ? "]" : "}");
}

/// The argument `name` when it is a string.
const std::string* string_argument(const OrderedJson& arguments, const char* name) {
  const auto found = arguments.find(name);
  if (found == arguments.end() || !found->is_string()) return nullptr;
  return found->get_ptr<const std::string*>();
}

std::string_view call_form(ToolPromptFormat format) {
  switch (format) {
    case ToolPromptFormat::kFunctionTag:
      return "<function=NAME>{\"PARAMETER\": VALUE}</function>";
    case ToolPromptFormat::kPythonList:
      return "[NAME(PARAMETER=VALUE), NAME(PARAMETER=VALUE)]";
    case ToolPromptFormat::kJson:
      break;
  }
  return "{\"type\": \"function\", \"name\": NAME, \"parameters\": {PARAMETER: VALUE}}";
}

}  // namespace

bool is_builtin_tool(std::string_view name) {
  return name == kCodeInterpreter ||
         std::find(kQueryTools.begin(), kQueryTools.end(), name) != kQueryTools.end();
}

std::string tool_call_text(const ToolCall& call, ToolPromptFormat format) {
  const std::optional<OrderedJson> arguments = try_parse_json(call.arguments);
  if (!arguments || !arguments->is_object()) {
    throw UsageError("chat: the arguments of the call of " + call.name + " are no JSON object");
  }
  if (call.name == kCodeInterpreter) {
    if (const std::string* code = string_argument(*arguments, "code")) return *code;
  } else if (is_builtin_tool(call.name)) {
    if (const std::string* query = string_argument(*arguments, "query")) {
      return call.name + ".call(query=\"" + *query + "\")";
    }
  }
  if (format == ToolPromptFormat::kFunctionTag) {
    return "<function=" + call.name + ">" + python_json(*arguments) + "</function>";
  }
  if (format == ToolPromptFormat::kPythonList) {
    std::string text = "[" + call.name + "(";
    const char* separator = "";
    for (const auto& [name, value] : arguments->items()) {
      text += separator + name + "=" + python_value(value);
      separator = ", ";
    }
    return text + ")]";
  }
  OrderedJson json;
  json["type"] = "function";
  json["name"] = call.name;
  json["parameters"] = *arguments;
  return python_json(json);
}

std::string tools_prompt(const std::string& tools, ToolPromptFormat format) {
  const std::optional<OrderedJson> list = try_parse_json(tools);
  if (!list || !list->is_array()) throw UsageError("chat: the tools are no JSON array");
  std::string text = "You can call these functions, described in JSON:\n";
  for (const OrderedJson& tool : *list) {
    // OpenAI wraps each description: {"type": "function", "function": {...}}.
    const bool wrapped = tool.is_object() && tool.contains("function");
    text += python_json(wrapped ? tool["function"] : tool) + "\n";
  }
  text += "To call functions, answer with nothing but the calls, in this form: ";
  text += call_form(format);
  return text;
}

}  // namespace corral::text
