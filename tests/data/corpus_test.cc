#include "data/corpus.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "base/error.h"
#include "support/temp_dir.h"
#include "text/special_tokens.h"

namespace corral::data {
namespace {

std::shared_ptr<const text::Tokenizer> byte_tokenizer(bool specials) {
  text::TokenizerSpec spec;
  for (int b = 0; b < 256; ++b) spec.tokens.emplace_back(1, static_cast<char>(b));
  spec.pattern = "[\\s\\S]";
  text::TokenId next = 256;
  if (specials) {
    for (const std::string& name : text::compact_special_tokens()) spec.specials[name] = next++;
  }
  return text::Tokenizer::create(spec);
}

std::string text_of(const TokenFile& file, int64_t document, const text::Tokenizer& tokenizer) {
  std::vector<int32_t> ids(static_cast<size_t>(file.length(document)));
  file.copy(document, 0, ids);
  return tokenizer.decode(ids);
}

class Corpus : public ::testing::Test {
 protected:
  std::shared_ptr<const TokenFile> tokenize(Supervise supervise = Supervise::kEverything) {
    return tokenize_corpus({{file_}, supervise}, tokenizer_, dir_.path() / "cache", threads_,
                           [this](int64_t) { ++groups_; });
  }
  void put(const std::string& text) { std::ofstream(file_, std::ios::binary) << text; }

  test::TempDir dir_;
  std::filesystem::path file_ = dir_.path() / "a.jsonl";
  std::shared_ptr<const text::Tokenizer> tokenizer_ = byte_tokenizer(true);
  ThreadPool threads_{2};
  int groups_ = 0;
};

TEST_F(Corpus, FramesTextAndRendersConversations) {
  put("{\"text\": \"A <|eot|>.\"}\n"
      "{\"messages\": [{\"role\": \"user\", \"content\": \"Hi\"}, "
      "{\"role\": \"assistant\", \"content\": \"Yes\"}]}\n");
  const auto file = tokenize();
  ASSERT_EQ(file->documents(), 2);
  EXPECT_EQ(text_of(*file, 0, *tokenizer_), "<|begin_of_text|>A <|eot|>.<|end_of_text|>");
  EXPECT_EQ(file->length(0), 12);  // the spelling in the text is plain text
  EXPECT_EQ(text_of(*file, 1, *tokenizer_),
            "<|begin_of_text|><|header_start|>user<|header_end|>\n\nHi<|eot|>"
            "<|header_start|>assistant<|header_end|>\n\nYes<|eot|>");
  EXPECT_EQ(file->text_bytes(), 15);
  for (int64_t i = 0; i < file->length(1); ++i) EXPECT_TRUE(file->supervised(1, i));
}

TEST_F(Corpus, CanSuperviseTheAssistantAlone) {
  put("{\"messages\": [{\"role\": \"user\", \"content\": \"Hi\"}, "
      "{\"role\": \"assistant\", \"content\": \"Yes\"}]}\n{\"text\": \"ab\"}\n");
  const auto file = tokenize(Supervise::kAssistant);
  std::vector<int32_t> ids(static_cast<size_t>(file->length(0)));
  file->copy(0, 0, ids);
  std::vector<int32_t> supervised;
  for (int64_t i = 0; i < file->length(0); ++i) {
    if (file->supervised(0, i)) supervised.push_back(ids[static_cast<size_t>(i)]);
  }
  EXPECT_EQ(tokenizer_->decode(supervised), "Yes<|eot|>");
  for (int64_t i = 0; i < file->length(1); ++i) EXPECT_TRUE(file->supervised(1, i));
}

TEST_F(Corpus, IsTokenisedOnceAndAgainWhenAnythingChanges) {
  put("{\"text\": \"one\"}\n");
  const uint64_t first = tokenize()->content_hash();
  EXPECT_EQ(groups_, 1);
  EXPECT_EQ(tokenize()->content_hash(), first);
  EXPECT_EQ(groups_, 1);
  tokenize(Supervise::kAssistant);
  EXPECT_EQ(groups_, 2);
  put("{\"text\": \"three\"}\n");
  EXPECT_NE(tokenize()->content_hash(), first);
  EXPECT_EQ(groups_, 3);
  tokenizer_ = byte_tokenizer(false);
  EXPECT_EQ(text_of(*tokenize(), 0, *tokenizer_), "three");
  EXPECT_EQ(groups_, 4);
}

TEST_F(Corpus, MakesABrokenCacheFileAgain) {
  put("{\"text\": \"one\"}\n");
  tokenize();
  for (const auto& entry : std::filesystem::directory_iterator(dir_.path() / "cache")) {
    std::filesystem::resize_file(entry.path(), 20);
  }
  EXPECT_EQ(tokenize()->documents(), 1);
  EXPECT_EQ(groups_, 2);
}

TEST_F(Corpus, LeavesNothingInTheCacheWhenASourceIsBroken) {
  put("{\"text\": \"one\"}\nbroken\n");
  EXPECT_THROW(tokenize(), CorruptFile);
  EXPECT_TRUE(std::filesystem::is_empty(dir_.path() / "cache"));
  put("{\"messages\": [{\"role\": \"user\", \"content\": \"Hi\"}]}\n");
  tokenizer_ = byte_tokenizer(false);
  EXPECT_THROW(tokenize(), UsageError);
  file_ = dir_.path() / "missing.jsonl";
  EXPECT_THROW(tokenize(), IoError);
}

TEST_F(Corpus, KeepsTheOrderOfManyDocuments) {
  std::string lines;
  for (int i = 0; i < 3000; ++i) lines += "{\"text\": \"" + std::to_string(i) + "\"}\n";
  put(lines);
  const auto file = tokenize();
  ASSERT_EQ(file->documents(), 3000);
  for (const int64_t i : {0, 511, 512, 2999}) {
    EXPECT_EQ(text_of(*file, i, *tokenizer_),
              "<|begin_of_text|>" + std::to_string(i) + "<|end_of_text|>");
  }
}

}  // namespace
}  // namespace corral::data
