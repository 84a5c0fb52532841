#pragma once

#include <optional>
#include <string>

#include "engine/constraint/json_pieces.h"

namespace corral::engine {

/// How an answer may use tools.
struct ToolUse {
  OrderedJson tools =
      OrderedJson::array();  // descriptions, wrapped as OpenAI's API has them or not
  bool required = false;     // the answer is calls and nothing else
  std::string only = {};     // a tool's name: no other may be called
  bool parallel = true;      // several calls may follow each other
};

/// The answers that text::parse_assistant reads as calls of these tools, in the form of Llama's
/// JSON calls, each with arguments that its `parameters` describe. Instead of calls, unless they
/// are required: documents of `schema` if there is one; else text, perhaps before calls, in which
/// nothing stands that would be read as a call.
///
/// A tool whose `strict` is not true and whose parameters use keywords that SchemaCompiler does not
/// know may be called with any object. Throws UsageError for strict ones, naming tool and keyword,
/// for `only` naming no tool, and for no tools at all.
Grammar tool_grammar(const ToolUse& use, const OrderedJson* schema = nullptr);

}  // namespace corral::engine
