#pragma once

#include <gtest/gtest.h>

#include "text/goldens.h"
#include "text/sha256.h"
#include "text/special_tokens.h"

namespace corral::test {

namespace tokenizer_goldens {

using Ids = std::vector<text::TokenId>;

inline void encodes_every_case(const text::Tokenizer& tokenizer) {
  const auto golden = read_json(data_dir() / "tokenizer/cases.json");
  ASSERT_EQ(golden["cases"].size(), 394u);
  for (const auto& c : golden["cases"]) {
    const auto text = c["text"].get<std::string>();
    ASSERT_EQ(text, from_hex(c["utf8_hex"]));
    EXPECT_EQ(tokenizer.encode(text), c["ids"].get<Ids>()) << c["utf8_hex"];
    EXPECT_EQ(tokenizer.decode(c["ids"].get<Ids>()), text);
    const Ids special = c.value("ids_special_allowed", c["ids"].get<Ids>());
    EXPECT_EQ(tokenizer.encode(text, {.special = text::SpecialText::kAll}), special)
        << c["utf8_hex"];
  }
}

inline void puts_bos_and_eos_and_allowed_specials(const text::Tokenizer& tokenizer) {
  const auto golden = read_json(data_dir() / "tokenizer/flags.json");
  ASSERT_GT(golden["cases"].size(), 40u);
  for (const auto& c : golden["cases"]) {
    text::EncodeOptions options{.bos = c["bos"], .eos = c["eos"]};
    if (c["allowed_special"].is_array()) {
      options.special = text::SpecialText::kAllowed;
      options.allowed = c["allowed_special"].get<std::vector<std::string>>();
    } else if (c["allowed_special"] == "all") {
      options.special = text::SpecialText::kAll;
    }
    EXPECT_EQ(tokenizer.encode(c["text"].get<std::string>(), options), c["ids"].get<Ids>())
        << c.dump();
  }
}

inline void cuts_long_texts(const text::Tokenizer& tokenizer) {
  const auto golden = read_json(data_dir() / "tokenizer/long_cases.json");
  ASSERT_EQ(golden["cases"].size(), 22u);
  for (const auto& c : golden["cases"]) {
    std::string text;
    for (const auto& part : c["parts"]) {
      for (int64_t i = 0; i < part[1].get<int64_t>(); ++i) text += part[0].get<std::string>();
    }
    const Ids ids = tokenizer.encode(text);
    ASSERT_EQ(ids.size(), c["n_ids"].get<size_t>()) << c["parts"].dump();
    EXPECT_EQ(sha256_of_ids(ids), c["ids_u32le_sha256"].get<std::string>()) << c["parts"].dump();
    EXPECT_EQ(tokenizer.decode(ids), text);
  }
}

inline void decodes_every_case(const text::Tokenizer& tokenizer) {
  const auto golden = read_json(data_dir() / "tokenizer/decode_cases.json");
  ASSERT_EQ(golden["cases"].size(), 60u);
  for (const auto& c : golden["cases"]) {
    const Ids ids = c["ids"].get<Ids>();
    EXPECT_EQ(tokenizer.decode(ids), from_hex(c["bytes_hex"]));
    EXPECT_EQ(tokenizer.decode_text(ids), c["text_with_replacement"].get<std::string>());
  }
}

inline void has_all_special_tokens(const text::Tokenizer& tokenizer) {
  const auto golden = read_json(*shared_dir() / "goldens/tokenizer/special_tokens.json");
  EXPECT_EQ(tokenizer.vocab_size(), golden["n_words"].get<text::TokenId>());
  ASSERT_EQ(golden["special_tokens"].size(), text::llama4_special_tokens().size());
  for (const auto& [spelling, id] : golden["special_tokens"].items()) {
    EXPECT_EQ(tokenizer.special_id(spelling), id.get<text::TokenId>());
    EXPECT_EQ(tokenizer.token_bytes(id), spelling);
  }
  EXPECT_EQ(tokenizer.bos_id(), golden["bos_id"].get<text::TokenId>());
  EXPECT_EQ(tokenizer.eos_id(), golden["eos_id"].get<text::TokenId>());
  EXPECT_EQ(tokenizer.eot_id(), golden["eot_id"].get<text::TokenId>());
  EXPECT_EQ(tokenizer.eom_id(), golden["eom_id"].get<text::TokenId>());
  EXPECT_EQ(tokenizer.pad_id(), golden["pad_id"].get<text::TokenId>());
  EXPECT_EQ(tokenizer.stop_ids(), golden["stop_tokens"].get<Ids>());
}

}  // namespace tokenizer_goldens

/// Compares a tokenizer with all that Meta's reference tokenizer gave: cases, flags, long cases,
/// decoding, special tokens (these need ../shared).
inline void expect_llama4_goldens(const text::Tokenizer& tokenizer) {
  tokenizer_goldens::encodes_every_case(tokenizer);
  tokenizer_goldens::puts_bos_and_eos_and_allowed_specials(tokenizer);
  tokenizer_goldens::cuts_long_texts(tokenizer);
  tokenizer_goldens::decodes_every_case(tokenizer);
  tokenizer_goldens::has_all_special_tokens(tokenizer);
}

}  // namespace corral::test
