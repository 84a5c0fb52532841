#pragma once

#include <string>
#include <string_view>

#include "text/chat.h"

namespace corral::text {

/// The text of a call. Throws UsageError when its arguments are no JSON object.
std::string tool_call_text(const ToolCall& call, ToolPromptFormat format);

/// What a model is told about the functions it may call. tools: a JSON array of their descriptions.
/// Throws UsageError when it is none.
std::string tools_prompt(const std::string& tools, ToolPromptFormat format);

}  // namespace corral::text
