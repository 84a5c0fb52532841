#pragma once

#include <span>
#include <string>
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

/// A frame of a video as content: a line with its time, minutes, seconds and tenths ("Frame at
/// 1:02.5:"), and the picture, which is called `name` in messages about it.
void add_frame(std::vector<text::ContentItem>& content, const std::string& name, double seconds);

}  // namespace corral::engine
