#pragma once

#include <string_view>

namespace corral::text {

/// The Jinja template of Llama 4's chat format for transformers and other programs that render
/// chats by template. Gives the prompts of ChatFormat with JSON tool calls; `<|image|>` stands
/// where an image's tokens go.
extern const std::string_view kChatTemplate;

}  // namespace corral::text
