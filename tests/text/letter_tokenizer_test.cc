#include "text/letter_tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "support/temp_dir.h"
#include "text/special_tokens.h"
#include "text/tokenizer_files.h"

namespace corral::text {
namespace {

TEST(LetterTokenizer, HasExactlyTheTokensAskedForAndLlama4sIds) {
  for (const int64_t size : {288, 300, 2303, 2304, 5000, 202048}) {
    const auto tokenizer = letter_tokenizer(size);
    EXPECT_EQ(tokenizer->vocab_size(), size);
    const bool full = size >= 2304;
    EXPECT_EQ(tokenizer->bos_id(), size - (full ? 2048 : 32));
    EXPECT_TRUE(tokenizer->eot_id() && tokenizer->eom_id() && tokenizer->eos_id());
    for (const TokenId id : {0, 255, 256, static_cast<int>(size) - 1}) {
      EXPECT_FALSE(tokenizer->token_bytes(id).empty()) << id;
    }
  }
  const auto llama4 = letter_tokenizer(202048);
  EXPECT_EQ(llama4->bos_id(), 200000);
  EXPECT_EQ(llama4->eot_id(), 200008);
  EXPECT_EQ(llama4->special_id(special::kPatch), 200092);
}

TEST(LetterTokenizer, JoinsLettersAndTakesAnyBytes) {
  const auto tokenizer = letter_tokenizer(256 + 26 * 26 + 26 * 26 * 26 + 2048);
  EXPECT_EQ(tokenizer->encode("abc").size(), 1u);
  EXPECT_EQ(tokenizer->decode(tokenizer->encode("abcdef")), "abcdef");
  EXPECT_EQ(tokenizer->encode("abcdef").size(), 3u);  // ab, cd, ef
  const std::string bytes("\xff\x00 \xc3(", 5);
  EXPECT_EQ(tokenizer->decode(tokenizer->encode(bytes)), bytes);
}

TEST(LetterTokenizer, IsTheSameFromItsFiles) {
  const test::TempDir dir;
  const auto tokenizer = letter_tokenizer(3000);
  save_tokenizer(*tokenizer, dir.path());
  const auto read = load_tokenizer_files(dir.path());
  EXPECT_EQ(read->vocab_size(), 3000);
  const std::string text = "the quick brown fox, 12 times\n\n";
  EXPECT_EQ(read->encode(text), tokenizer->encode(text));
  EXPECT_EQ(read->eot_id(), tokenizer->eot_id());
}

TEST(LetterTokenizer, RefusesSizesThatCannotBe) {
  EXPECT_THROW(letter_tokenizer(287), UsageError);
  EXPECT_THROW(letter_tokenizer(int64_t{1} << 40), UsageError);
}

}  // namespace
}  // namespace corral::text
