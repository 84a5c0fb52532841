#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "engine/image_encoder.h"
#include "engine/image_prompt.h"
#include "engine/session.h"
#include "model/tiny_model.h"

namespace corral::engine::fixture {

/// An uncompressed 24-bit BMP of one colour.
inline std::string picture(int width, int height, int red, int green, int blue) {
  const int row = (3 * width + 3) / 4 * 4;
  std::string file = "BM";
  const auto number = [&](int64_t value, int bytes) {
    for (int i = 0; i < bytes; ++i) file += static_cast<char>(value >> 8 * i & 255);
  };
  number(54 + row * height, 4);
  number(0, 4);
  number(54, 4);
  number(40, 4);
  number(width, 4);
  number(height, 4);
  number(1, 2);
  number(24, 2);
  number(0, 4);
  number(row * height, 4);
  for (int i = 0; i < 4; ++i) number(0, 4);
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < row; ++x) {
      const int channel = x % 3;
      number(x >= 3 * width ? 0 : channel == 0 ? blue : channel == 1 ? green : red, 1);
    }
  }
  return file;
}

/// Bytes, and the special tokens of chats with images.
inline std::shared_ptr<const text::Tokenizer> sighted_tokenizer() {
  text::TokenizerSpec spec;
  for (int byte = 0; byte < 256; ++byte) spec.tokens.emplace_back(1, static_cast<char>(byte));
  spec.pattern = std::string(text::kLlama4Pattern);
  text::TokenId next = 256;
  for (const auto name :
       {text::special::kBeginOfText, text::special::kEndOfText, text::special::kHeaderStart,
        text::special::kHeaderEnd, text::special::kEndOfMessage, text::special::kEndOfTurn,
        text::special::kImageStart, text::special::kImageEnd, text::special::kImage,
        text::special::kPatch, text::special::kTileXSeparator, text::special::kTileYSeparator}) {
    spec.specials.emplace(std::string(name), next++);
  }
  return text::Tokenizer::create(spec);
}

using corral::test::tiny_vision;

/// A tiny model that sees.
class ImageSession : public ::testing::Test {
 protected:
  DevicePtr device = Device::cpu({.threads = 1});
  std::shared_ptr<const text::Tokenizer> vocabulary = sighted_tokenizer();
  text::ChatFormat format{vocabulary};
  model::TextModel model = corral::test::tiny_model(corral::test::tiny_config(), device);
  model::VisionConfig vision = tiny_vision(model.config());
  std::shared_ptr<const model::VisionTower> tower = std::make_shared<model::VisionTower>(
      model::VisionTower::trainable(vision, model::initialise_vision(vision, 1, device)));
  ImageEncoder encoder{tower, {}};

  Prompt ask(const std::vector<std::string>& files, const std::string& words) {
    std::vector<EncodedImagePtr> images;
    text::ChatMessage message{.role = "user"};
    for (const std::string& file : files) {
      images.push_back(encoder.encode(file, "picture"));
      message.content.push_back({text::ContentItem::Kind::kImage, "picture"});
    }
    message.content.push_back({text::ContentItem::Kind::kText, words});
    return chat_prompt(format, std::vector{message}, images);
  }
};

}  // namespace corral::engine::fixture
