#include "text/special_tokens.h"

#include "base/str.h"

namespace corral::text {
namespace {

using Names = std::vector<std::string>;

void add(Names& names, const Names& more) { names.insert(names.end(), more.begin(), more.end()); }

/// <|PREFIXreserved_special_token_I|> for I in [begin, end).
void add_reserved(Names& names, const std::string& prefix, int begin, int end) {
  for (int i = begin; i < end; ++i) {
    names.push_back(str("<|", prefix, "reserved_special_token_", i, "|>"));
  }
}

const Names kText = {"<|begin_of_text|>", "<|end_of_text|>",  "<|fim_prefix|>", "<|fim_middle|>",
                     "<|fim_suffix|>",    "<|header_start|>", "<|header_end|>", "<|eom|>",
                     "<|eot|>",           "<|step|>"};
const Names kTools = {"<|python_start|>", "<|python_end|>", "<|finetune_right_pad|>"};
const Names kImageEnds = {"<|image_start|>", "<|image_end|>"};
const Names kTiles = {"<|tile_x_separator|>", "<|tile_y_separator|>"};
const Names kReasoning = {"<|reasoning_thinking_start|>", "<|reasoning_thinking_end|>"};

Names make_full() {
  Names names = kText;
  add_reserved(names, "text_post_train_", 0, 6);
  add(names, kTools);
  add_reserved(names, "text_post_train_", 8, 69);
  add(names, kImageEnds);
  add_reserved(names, "vision_", 0, 2);
  add(names, kTiles);
  add_reserved(names, "vision_", 2, 6);
  names.push_back("<|image|>");
  add_reserved(names, "vision_", 6, 7);
  names.push_back("<|patch|>");
  add_reserved(names, "vision_", 7, 1048);
  add_reserved(names, "reasoning_", 0, 8);
  add(names, kReasoning);
  add_reserved(names, "", 0, 904);
  return names;
}

Names make_compact() {
  Names names = kText;
  add(names, kTools);
  add(names, kImageEnds);
  add(names, kTiles);
  names.push_back("<|image|>");
  names.push_back("<|patch|>");
  add(names, kReasoning);
  add_reserved(names, "", 0, 11);
  return names;
}

}  // namespace

const Names& llama4_special_tokens() {
  static const Names names = make_full();
  return names;
}

const Names& compact_special_tokens() {
  static const Names names = make_compact();
  return names;
}

}  // namespace corral::text
