#include "engine/image_prompt.h"

#include <utility>

namespace corral::engine {
namespace {

void describe(const std::vector<EncodedImagePtr>& images, text::RenderOptions& options) {
  for (const EncodedImagePtr& image : images) {
    options.images.push_back(image->grid);
    options.patches_per_tile = image->vectors_per_tile;
  }
}

Prompt with_images(std::vector<text::TokenId> ids, const text::Tokenizer& tokenizer,
                   std::vector<EncodedImagePtr> images) {
  Prompt prompt;
  prompt.tokens.assign(ids.begin(), ids.end());
  prompt.images = std::move(images);
  if (const auto patch = tokenizer.special_id(text::special::kPatch)) prompt.placeholder = *patch;
  return prompt;
}

}  // namespace

Prompt chat_prompt(const text::ChatFormat& format, std::span<const text::ChatMessage> messages,
                   std::vector<EncodedImagePtr> images, text::RenderOptions options) {
  describe(images, options);
  return with_images(format.render(messages, options).ids, format.tokenizer(), std::move(images));
}

Prompt completion_prompt(const text::ChatFormat& format, std::span<const text::ContentItem> content,
                         std::vector<EncodedImagePtr> images) {
  text::RenderOptions options;
  describe(images, options);
  return with_images(format.render_completion(content, options), format.tokenizer(),
                     std::move(images));
}

}  // namespace corral::engine
