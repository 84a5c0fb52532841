#pragma once

#include <nlohmann/json.hpp>
#include <span>
#include <vector>

#include "text/chat.h"

namespace corral::text {

/// Reads messages in the forms that data sets and OpenAI's API use: `role`; `content` as text, null
/// or a list of {"text"} / {"type": "text", "text"} / {"image"} / {"type": "image"} /
/// {"type": "image_url", "image_url": {"url"}}; `tool_calls` of {"name", "arguments"}, perhaps
/// inside
/// {"function"}, arguments as object or as JSON text; `stop_reason`; `context`. Other keys are
/// ignored. Throws UsageError naming the message that is wrong.
std::vector<ChatMessage> messages_from_json(const nlohmann::ordered_json& messages);

/// The number of images in the messages.
int64_t count_images(std::span<const ChatMessage> messages);

/// {"content", "text_before_calls", "tool_calls": [{"name", "arguments", "arguments_json",
/// "builtin"}], "stop_reason"}.
/// Text that is not UTF-8 gets U+FFFD.
nlohmann::ordered_json to_json(const ParsedAnswer& answer);

}  // namespace corral::text
