// Meta's reference tokenizer, id by id (tests/data/tokenizer; where from: docs of the goldens),
// from each kind of file. From GGUF metadata: tests/model/gguf_tokenizer_golden_test.cc.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "text/tokenizer_goldens.h"

namespace corral::test {
namespace {

class Llama4TokenizerGolden : public testing::Test {
 protected:
  void SetUp() override {
    tokenizer_ = llama4_tokenizer();
    if (!tokenizer_) GTEST_SKIP() << kNoLlama4Tokenizer;
  }
  std::shared_ptr<const text::Tokenizer> tokenizer_;
};

TEST_F(Llama4TokenizerGolden, EncodesEveryCaseLikeTheReference) {
  tokenizer_goldens::encodes_every_case(*tokenizer_);
}

TEST_F(Llama4TokenizerGolden, PutsBosAndEosAndAllowedSpecialsLikeTheReference) {
  tokenizer_goldens::puts_bos_and_eos_and_allowed_specials(*tokenizer_);
}

TEST_F(Llama4TokenizerGolden, CutsLongTextsWhereTheReferenceCutsThem) {
  tokenizer_goldens::cuts_long_texts(*tokenizer_);
}

TEST_F(Llama4TokenizerGolden, DecodesEveryCaseToTheSameBytesAndText) {
  tokenizer_goldens::decodes_every_case(*tokenizer_);
}

TEST_F(Llama4TokenizerGolden, HasTheIdsOfAllSpecialTokens) {
  tokenizer_goldens::has_all_special_tokens(*tokenizer_);
}

TEST_F(Llama4TokenizerGolden, GivesTheSameFromTokenizerJson) {
  const std::string json = text::to_hf_tokenizer(*tokenizer_);
  expect_llama4_goldens(*text::Tokenizer::create(text::parse_hf_tokenizer(json, "tokenizer.json")));
}

}  // namespace
}  // namespace corral::test
