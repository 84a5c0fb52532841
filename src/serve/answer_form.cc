#include "serve/answer_form.h"

#include <algorithm>
#include <utility>

#include "engine/constraint/grammar_text.h"
#include "engine/constraint/json_schema.h"
#include "engine/constraint/tool_grammar.h"
#include "serve/api_error.h"

namespace corral::serve {
namespace {

constexpr size_t kMostBytes = size_t{24} << 20;  // that a form may remember

// The format without what says nothing about the form; null: any text.
OrderedJson read_format(const Fields& fields) {
  const OrderedJson* format = fields.find("response_format");
  if (format == nullptr) return nullptr;
  if (!format->is_object()) fields.fail("response_format", "is no object");
  const Fields inside(*format, "response_format.");
  const std::string type = inside.text("type").value_or("");
  if (type == "text") return nullptr;
  OrderedJson result = {{"type", type}};
  if (type == "json_schema") {
    const OrderedJson* named = inside.find("json_schema");
    if (named == nullptr || !named->is_object()) inside.fail("json_schema", "is no object");
    const auto schema = named->find("schema");
    if (schema == named->end()) inside.fail("json_schema", "has no schema");
    result["schema"] = *schema;
  } else if (type == "regex" || type == "grammar") {
    const char* member = type == "regex" ? "pattern" : "grammar";
    const auto text = inside.text(member);
    if (!text) inside.fail(member, "is missing");
    result[member] = *text;
  } else if (type != "json_object") {
    fields.fail("response_format", "has the type '" + type.substr(0, 20) +
                                       "', needs text, json_object, json_schema, regex or grammar");
  }
  return result;
}

bool is_strict(const OrderedJson& tool) {
  const auto says = [](const OrderedJson& json) {
    return json.is_object() && json.value("strict", OrderedJson()) == true;
  };
  return says(tool) || says(tool.value("function", OrderedJson()));
}

// Adds to the form what tool_choice asks for.
void read_tool_use(const Fields& fields, OrderedJson& form) {
  const OrderedJson* tools = fields.find("tools");
  const bool any_tools = tools != nullptr && tools->is_array() && !tools->empty();
  bool required = false;
  if (const OrderedJson* choice = fields.find("tool_choice")) {
    if (*choice == "none") return;
    required = *choice != "auto";
    if (choice->is_object()) {
      const auto name =
          choice->value("function", OrderedJson::object()).value("name", OrderedJson());
      if (choice->value("type", OrderedJson()) != "function" || !name.is_string()) {
        fields.fail("tool_choice", "is no {\"type\": \"function\", \"function\": {\"name\"}}");
      }
      form["only"] = name;
    } else if (required && *choice != "required") {
      fields.fail("tool_choice", "can be auto, none, required, or name a function");
    }
  }
  const bool parallel = fields.boolean("parallel_tool_calls").value_or(true);
  if (required && !any_tools) fields.fail("tool_choice", "asks for a call, and there are no tools");
  const bool strict = any_tools && std::any_of(tools->begin(), tools->end(), is_strict);
  if (!any_tools || !(required || strict || form.contains("format"))) return;
  form["required"] = required;
  form["parallel"] = parallel;
  form["tools"] = *tools;
}

engine::Grammar grammar_of(const OrderedJson& form) {
  const OrderedJson format = form.value("format", OrderedJson());
  const std::string type = format.is_null() ? "" : format["type"].get<std::string>();
  if (form.contains("tools")) {
    const engine::ToolUse use{.tools = form["tools"],
                              .required = form["required"],
                              .only = form.value("only", ""),
                              .parallel = form["parallel"]};
    if (use.required || type.empty()) return engine::tool_grammar(use);
    static const OrderedJson any_object = {{"type", "object"}};
    if (type == "json_object") return engine::tool_grammar(use, &any_object);
    if (type == "json_schema") return engine::tool_grammar(use, &format["schema"]);
    throw UsageError("a regex or a grammar beside tools is not supported: take tool_choice none");
  }
  if (type == "json_object") return engine::json_object_grammar();
  if (type == "regex")
    return engine::regex_grammar(format["pattern"].get_ref<const std::string&>());
  if (type == "grammar") {
    return engine::parse_grammar(format["grammar"].get_ref<const std::string&>());
  }
  return engine::schema_grammar(format["schema"]);
}

}  // namespace

std::optional<AnswerForm> read_answer_form(const Fields& fields, bool with_tools) {
  OrderedJson form = OrderedJson::object();
  if (OrderedJson format = read_format(fields); !format.is_null()) form["format"] = format;
  if (with_tools) read_tool_use(fields, form);
  if (form.empty()) return std::nullopt;
  if (fields.boolean("ignore_eos").value_or(false)) {
    fields.fail("ignore_eos", "does not go with a form that the answer has to follow");
  }
  return AnswerForm{std::move(form)};
}

std::shared_ptr<engine::Constraint> AnswerForms::constraint(
    const AnswerForm& form, const std::shared_ptr<const text::Tokenizer>& tokenizer) {
  const std::string key = dump(form.json);
  const std::lock_guard lock(mutex_);
  const auto found = std::find_if(entries_.begin(), entries_.end(),
                                  [&](const Entry& entry) { return entry.key == key; });
  if (found != entries_.end()) {
    entries_.splice(entries_.begin(), entries_, found);
    return entries_.front().constraint;
  }
  if (vocabulary_ == nullptr) vocabulary_ = engine::TokenTrie::create(tokenizer);
  try {
    entries_.push_front({key, std::make_shared<engine::Constraint>(grammar_of(form.json),
                                                                   vocabulary_, kMostBytes)});
  } catch (const UsageError& error) {
    throw ApiError(400, error.what(), form.json.contains("tools") ? "tools" : "response_format");
  }
  if (entries_.size() > kMostRemembered) entries_.pop_back();
  return entries_.front().constraint;
}

}  // namespace corral::serve
