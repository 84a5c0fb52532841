// Meta's reference tokenizer, id by id (tests/data/tokenizer; where from: docs of the goldens).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "text/goldens.h"
#include "text/sha256.h"
#include "text/special_tokens.h"

namespace corral::test {
namespace {

using text::EncodeOptions;
using text::SpecialText;
using text::TokenId;
using Ids = std::vector<TokenId>;

class Llama4TokenizerGolden : public testing::Test {
 protected:
  void SetUp() override {
    tokenizer_ = llama4_tokenizer();
    if (!tokenizer_) GTEST_SKIP() << kNoLlama4Tokenizer;
  }
  std::shared_ptr<const text::Tokenizer> tokenizer_;
};

TEST_F(Llama4TokenizerGolden, EncodesEveryCaseLikeTheReference) {
  const auto golden = read_json(data_dir() / "tokenizer/cases.json");
  ASSERT_EQ(golden["cases"].size(), 394u);
  for (const auto& c : golden["cases"]) {
    const auto text = c["text"].get<std::string>();
    ASSERT_EQ(text, from_hex(c["utf8_hex"]));
    EXPECT_EQ(tokenizer_->encode(text), c["ids"].get<Ids>()) << c["utf8_hex"];
    EXPECT_EQ(tokenizer_->decode(c["ids"].get<Ids>()), text);
    const Ids special = c.value("ids_special_allowed", c["ids"].get<Ids>());
    EXPECT_EQ(tokenizer_->encode(text, {.special = SpecialText::kAll}), special) << c["utf8_hex"];
  }
}

TEST_F(Llama4TokenizerGolden, PutsBosAndEosAndAllowedSpecialsLikeTheReference) {
  const auto golden = read_json(data_dir() / "tokenizer/flags.json");
  ASSERT_GT(golden["cases"].size(), 40u);
  for (const auto& c : golden["cases"]) {
    EncodeOptions options{.bos = c["bos"], .eos = c["eos"]};
    if (c["allowed_special"].is_array()) {
      options.special = SpecialText::kAllowed;
      options.allowed = c["allowed_special"].get<std::vector<std::string>>();
    } else if (c["allowed_special"] == "all") {
      options.special = SpecialText::kAll;
    }
    EXPECT_EQ(tokenizer_->encode(c["text"].get<std::string>(), options), c["ids"].get<Ids>())
        << c.dump();
  }
}

TEST_F(Llama4TokenizerGolden, CutsLongTextsWhereTheReferenceCutsThem) {
  const auto golden = read_json(data_dir() / "tokenizer/long_cases.json");
  ASSERT_EQ(golden["cases"].size(), 22u);
  for (const auto& c : golden["cases"]) {
    std::string text;
    for (const auto& part : c["parts"]) {
      for (int64_t i = 0; i < part[1].get<int64_t>(); ++i) text += part[0].get<std::string>();
    }
    const Ids ids = tokenizer_->encode(text);
    ASSERT_EQ(ids.size(), c["n_ids"].get<size_t>()) << c["parts"].dump();
    EXPECT_EQ(sha256_of_ids(ids), c["ids_u32le_sha256"].get<std::string>()) << c["parts"].dump();
    EXPECT_EQ(tokenizer_->decode(ids), text);
  }
}

TEST_F(Llama4TokenizerGolden, DecodesEveryCaseToTheSameBytesAndText) {
  const auto golden = read_json(data_dir() / "tokenizer/decode_cases.json");
  ASSERT_EQ(golden["cases"].size(), 60u);
  for (const auto& c : golden["cases"]) {
    const Ids ids = c["ids"].get<Ids>();
    EXPECT_EQ(tokenizer_->decode(ids), from_hex(c["bytes_hex"]));
    EXPECT_EQ(tokenizer_->decode_text(ids), c["text_with_replacement"].get<std::string>());
  }
}

TEST_F(Llama4TokenizerGolden, HasTheIdsOfAllSpecialTokens) {
  const auto golden = read_json(*shared_dir() / "goldens/tokenizer/special_tokens.json");
  EXPECT_EQ(tokenizer_->vocab_size(), golden["n_words"].get<TokenId>());
  ASSERT_EQ(golden["special_tokens"].size(), text::llama4_special_tokens().size());
  for (const auto& [spelling, id] : golden["special_tokens"].items()) {
    EXPECT_EQ(tokenizer_->special_id(spelling), id.get<TokenId>());
    EXPECT_EQ(tokenizer_->token_bytes(id), spelling);
  }
  EXPECT_EQ(tokenizer_->bos_id(), golden["bos_id"].get<TokenId>());
  EXPECT_EQ(tokenizer_->eos_id(), golden["eos_id"].get<TokenId>());
  EXPECT_EQ(tokenizer_->eot_id(), golden["eot_id"].get<TokenId>());
  EXPECT_EQ(tokenizer_->eom_id(), golden["eom_id"].get<TokenId>());
  EXPECT_EQ(tokenizer_->pad_id(), golden["pad_id"].get<TokenId>());
  EXPECT_EQ(tokenizer_->stop_ids(), golden["stop_tokens"].get<Ids>());
}

}  // namespace
}  // namespace corral::test
