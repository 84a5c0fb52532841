#include "engine/image_prompt.h"

#include <cmath>
#include <utility>

#include "base/str.h"

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

/// Minutes, seconds and tenths: 1:02.5.
std::string time_stamp(double seconds) {
  const auto tenths = static_cast<int64_t>(std::floor(seconds * 10 + 0.5));
  const int64_t whole = tenths / 10 % 60;
  return str(tenths / 600, ":", whole < 10 ? "0" : "", whole, ".", tenths % 10);
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

void add_frame(std::vector<text::ContentItem>& content, const std::string& name, double seconds) {
  content.push_back({text::ContentItem::Kind::kText, str("Frame at ", time_stamp(seconds), ":")});
  content.push_back({text::ContentItem::Kind::kImage, name});
  content.push_back({text::ContentItem::Kind::kText, "\n"});
}

}  // namespace corral::engine
