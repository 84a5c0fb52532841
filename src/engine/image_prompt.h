#pragma once

#include <span>
#include <vector>

#include "engine/prompt.h"
#include "text/chat.h"

namespace corral::engine {

/// A conversation as a prompt, with its pictures: `images` are those of all content items of kind
/// image, in order. Throws as ChatFormat::render, which also says when there are too many or too
/// few.
Prompt chat_prompt(const text::ChatFormat& format, std::span<const text::ChatMessage> messages,
                   std::vector<EncodedImagePtr> images, text::RenderOptions options = {});

/// The same for plain text to be continued.
Prompt completion_prompt(const text::ChatFormat& format, std::span<const text::ContentItem> content,
                         std::vector<EncodedImagePtr> images);

}  // namespace corral::engine
