#include "engine/constraint/tool_grammar.h"

#include <utility>
#include <vector>

#include "base/error.h"
#include "engine/constraint/json_schema.h"
#include "engine/constraint/regex.h"

namespace corral::engine {
namespace {

const OrderedJson& description_of(const OrderedJson& tool) {
  const bool wrapped = tool.is_object() && tool.contains("function");
  return wrapped ? tool["function"] : tool;
}

bool is_strict(const OrderedJson& tool) {
  const auto says = [](const OrderedJson& json) {
    return json.is_object() && json.contains("strict") && json["strict"] == true;
  };
  return says(tool) || says(description_of(tool));
}

std::string name_of(const OrderedJson& tool) {
  const OrderedJson& description = description_of(tool);
  if (!description.is_object() || !description.contains("name") ||
      !description["name"].is_string() || description["name"] == "") {
    throw UsageError("a tool has no name");
  }
  return description["name"].get<std::string>();
}

ExprId arguments(JsonPieces& pieces, const OrderedJson& tool) {
  const OrderedJson& description = description_of(tool);
  const auto parameters = description.find("parameters");
  if (parameters == description.end() || parameters->is_null()) return pieces.object();
  try {
    // Tried on its own first: what is not supported must leave nothing behind.
    Grammar trial;
    JsonPieces trial_pieces(trial);
    SchemaCompiler(trial_pieces, *parameters).compile_object();
    return SchemaCompiler(pieces, *parameters).compile_object();
  } catch (const UsageError& error) {
    if (!is_strict(tool)) return pieces.object();
    throw UsageError(str("the tool ", name_of(tool).substr(0, 100), ": ", error.what()));
  }
}

std::string quoted(const std::string& name) {
  std::string out;
  for (const char c : name) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = byte >= 0x80 || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                       (c >= '0' && c <= '9') || c == '_' || c == ' ';
    if (!plain && byte < 0x20) throw UsageError("a tool's name has a control character");
    out += plain ? std::string(1, c) : std::string("\\") + c;
  }
  return out;
}

// Text without what begins a call in one of the forms that are read as such: an object with
// parameters, a function's tag, a query, a list of calls.
CharDfa text_without_calls(const std::vector<std::string>& names) {
  std::string list;
  for (const std::string& name : names) list += (list.empty() ? "" : "|") + quoted(name);
  const std::string pattern = R"(["']?(parameters|arguments)["']?\s*[:=]\s*\{)"
                              R"(|\{\s*"type"\s*:\s*"function"|<function=|\.call\(query="|)"
                              R"([\[,]\s*()" +
                              list + R"()\s*\()";
  return ~regex_texts(pattern, RegexScope::kSearch);
}

}  // namespace

Grammar tool_grammar(const ToolUse& use, const OrderedJson* schema) {
  Grammar g;
  const RuleId root = g.add_rule("root");
  JsonPieces pieces(g);
  std::vector<ExprId> calls;
  std::vector<std::string> names;
  for (const OrderedJson& tool : use.tools) {
    const std::string name = name_of(tool);
    names.push_back(name);
    if (!use.only.empty() && name != use.only) continue;
    calls.push_back(g.sequence(
        {g.bytes(R"({"type": "function", "name": )" + json_text(name) + R"(, "parameters": )"),
         arguments(pieces, tool), g.bytes("}")}));
  }
  if (calls.empty()) {
    throw UsageError(use.only.empty() ? "a call is required, and there are no tools"
                                      : str("no tool is named '", use.only.substr(0, 100), "'"));
  }
  const RuleId call = g.add_rule("call");
  g.define(call, g.choice(std::move(calls)));
  const ExprId between = g.choice({g.bytes("\n"), g.bytes("; "), Grammar::kNothing});
  const ExprId more = g.sequence({between, g.call(call)});
  const ExprId all =
      use.parallel ? g.sequence({g.call(call), g.repeat(more, 0, -1)}) : g.call(call);
  if (use.required) {
    g.define(root, all);
  } else if (schema != nullptr) {
    g.define(root, g.choice({all, SchemaCompiler(pieces, *schema).compile()}));
  } else {
    const ExprId text = g.texts(text_without_calls(names), Spelling::kUtf8);
    g.define(root, g.sequence({text, g.optional(all)}));
  }
  return g;
}

}  // namespace corral::engine
