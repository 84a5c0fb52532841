#include "text/tokenizer_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "base/file.h"
#include "base/random.h"
#include "text/goldens.h"
#include "text/small_tokenizer.h"
#include "text/special_tokens.h"

namespace corral::test {
namespace {

using nlohmann::ordered_json;
using testing::HasSubstr;
using text::TokenId;
using text::Tokenizer;
using text::TokenizerSpec;

template <class Action>
std::string message_of(const Action& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

void expect_same(const Tokenizer& a, const Tokenizer& b) {
  EXPECT_EQ(a.vocab_size(), b.vocab_size());
  EXPECT_EQ(a.stop_ids(), b.stop_ids());
  EXPECT_EQ(a.spec().tokens, b.spec().tokens);
  EXPECT_EQ(a.spec().specials, b.spec().specials);
  const auto golden = read_json(data_dir() / "tokenizer/cases.json");
  for (const auto& c : golden["cases"]) {
    const auto text = c["text"].get<std::string>();
    ASSERT_EQ(a.encode(text), b.encode(text)) << text;
  }
  for (const std::string& text : small_corpus()) ASSERT_EQ(a.encode(text), b.encode(text));
}

TEST(TiktokenFile, ReadsBackWhatItWrote) {
  const auto tokenizer = small_tokenizer();
  const auto spec = text::parse_tiktoken(text::to_tiktoken(*tokenizer), "t");
  expect_same(*Tokenizer::create(spec), *tokenizer);
}

TEST(TiktokenFile, TakesRanksInAnyOrderAndWindowsLineEnds) {
  const auto spec = text::parse_tiktoken("Qg== 1\r\n\r\nQ0Q= 2\r\nQUJD 0", "t", {"<|x|>"});
  EXPECT_EQ(spec.tokens, (std::vector<std::string>{"ABC", "B", "CD"}));
  EXPECT_EQ(spec.specials, (std::map<std::string, TokenId>{{"<|x|>", 3}}));
}

TEST(TiktokenFile, NamesTheLineThatIsWrong) {
  const auto parse = [](const std::string& text) {
    return message_of([&] { text::parse_tiktoken(text, "bad.model"); });
  };
  EXPECT_THAT(parse(""), HasSubstr("bad.model: no tokens"));
  EXPECT_THAT(parse("\n\n"), HasSubstr("bad.model: no tokens"));
  EXPECT_THAT(parse("QQ== 0\nQg==\n"), HasSubstr("bad.model: line 2 has no space"));
  EXPECT_THAT(parse("Q!== 0\n"), HasSubstr("line 1 does not begin with base64"));
  EXPECT_THAT(parse("QQ= 0\n"), HasSubstr("does not begin with base64"));
  EXPECT_THAT(parse(" 0\n"), HasSubstr("does not begin with base64"));
  EXPECT_THAT(parse("QQ== x\n"), HasSubstr("line 1 has no number"));
  EXPECT_THAT(parse("QQ== -1\n"), HasSubstr("has no number"));
  EXPECT_THAT(parse("QQ== 0 \n"), HasSubstr("has no number"));
  EXPECT_THAT(parse("QQ== 99999999999999999999999\n"), HasSubstr("has no number"));
  EXPECT_THAT(parse("QQ== 4000000000\n"), HasSubstr("has rank 4000000000"));
  EXPECT_THAT(parse("QQ== 0\nQg== 0\n"), HasSubstr("line 2 repeats rank 0"));
  EXPECT_THAT(parse("QQ== 0\nQg== 2\n"), HasSubstr("ranks must be 0 to 1"));
}

TEST(TiktokenFile, NeverCrashesOnDamagedFiles) {
  const std::string good = text::to_tiktoken(*small_tokenizer());
  for (size_t size = 0; size < good.size(); size += 7) {
    message_of([&] { Tokenizer::create(text::parse_tiktoken(good.substr(0, size), "t")); });
  }
  const Philox random(11);
  for (uint64_t i = 0; i < 300; ++i) {
    std::string bad = good;
    bad[random.below(bad.size(), 2 * i)] ^= static_cast<char>(1 << random.below(8, 2 * i + 1));
    message_of([&] { Tokenizer::create(text::parse_tiktoken(bad, "t")); });
  }
}

TEST(TiktokenFile, CannotHoldHoles) {
  TokenizerSpec spec = small_tokenizer()->spec();
  spec.tokens.push_back("");
  spec.tokens.push_back("unlikely");
  spec.specials.clear();
  EXPECT_THROW(text::to_tiktoken(*Tokenizer::create(spec)), UsageError);
}

TEST(HfTokenizerFile, ReadsBackWhatItWrote) {
  const auto tokenizer = small_tokenizer();
  const auto again =
      Tokenizer::create(text::parse_hf_tokenizer(text::to_hf_tokenizer(*tokenizer), "t"));
  EXPECT_FALSE(again->listed_merges().empty());
  expect_same(*again, *tokenizer);
}

TEST(HfTokenizerFile, ReadsMergesAsPairsToo) {
  auto json = ordered_json::parse(text::to_hf_tokenizer(*small_tokenizer()));
  for (auto& merge : json["model"]["merges"]) {
    const auto text = merge.get<std::string>();
    const size_t space = text.find(' ');
    merge = ordered_json::array({text.substr(0, space), text.substr(space + 1)});
  }
  expect_same(*Tokenizer::create(text::parse_hf_tokenizer(json.dump(), "t")), *small_tokenizer());
}

TEST(HfTokenizerFile, HasOneMergeAToken) {
  const auto json = ordered_json::parse(text::to_hf_tokenizer(*small_tokenizer()));
  EXPECT_EQ(json["model"]["merges"].size(), json["model"]["vocab"].size() - 256);
  EXPECT_EQ(json["added_tokens"].size(), text::compact_special_tokens().size());
  EXPECT_EQ(json["added_tokens"].back()["id"], 359);
}

/// The message for tokenizer.json after one change.
std::string after(const std::function<void(ordered_json&)>& change) {
  auto json = ordered_json::parse(text::to_hf_tokenizer(*small_tokenizer()));
  change(json);
  return message_of([&] { Tokenizer::create(text::parse_hf_tokenizer(json.dump(), "t.json")); });
}

TEST(HfTokenizerFile, RefusesOtherKindsOfTokenizersByName) {
  EXPECT_THAT(after([](auto& j) { j["model"]["type"] = "WordPiece"; }), HasSubstr("WordPiece"));
  EXPECT_THAT(after([](auto& j) { j["model"]["byte_fallback"] = true; }),
              HasSubstr("byte_fallback"));
  EXPECT_THAT(after([](auto& j) { j["normalizer"] = {{"type", "NFC"}}; }), HasSubstr("normalizer"));
  EXPECT_THAT(after([](auto& j) {
                j["pre_tokenizer"] = {{"type", "Metaspace"}};
              }),
              HasSubstr("Metaspace"));
  EXPECT_THAT(after([](auto& j) { j.erase("pre_tokenizer"); }), HasSubstr("no split pattern"));
}

TEST(HfTokenizerFile, NamesWhatIsMissingOrWrong) {
  EXPECT_THAT(after([](auto& j) { j = ordered_json::array(); }),
              HasSubstr("t.json: is no JSON object"));
  EXPECT_THAT(after([](auto& j) { j.erase("model"); }), HasSubstr("has no \"model\""));
  EXPECT_THAT(after([](auto& j) { j["model"].erase("vocab"); }), HasSubstr("has no \"vocab\""));
  EXPECT_THAT(after([](auto& j) { j["model"]["vocab"]["a"] = -1; }), HasSubstr("is -1"));
  EXPECT_THAT(after([](auto& j) { j["model"]["vocab"]["a"] = 1 << 23; }),
              HasSubstr("token 8388608"));
  EXPECT_THAT(after([](auto& j) { j["model"]["vocab"]["a"] = 98; }),
              HasSubstr("two tokens have id 98"));
  EXPECT_THAT(after([](auto& j) { j["model"]["vocab"]["a"] = "x"; }), HasSubstr("the id of"));
  EXPECT_THAT(after([](auto& j) { j["model"]["vocab"]["\u4f60"] = 500; }), HasSubstr("byte-level"));
  EXPECT_THAT(after([](auto& j) { j["model"]["merges"][0] = "ab"; }), HasSubstr("has no space"));
  EXPECT_THAT(after([](auto& j) { j["model"]["merges"][0] = 7; }), HasSubstr("merge 0"));
  EXPECT_THAT(after([](auto& j) { j["model"]["merges"][0] = "q qq"; }), HasSubstr("lacks"));
  EXPECT_THAT(after([](auto& j) { j["model"]["merges"] = ordered_json::array(); }),
              HasSubstr("empty"));
  EXPECT_THAT(after([](auto& j) { j["added_tokens"][0]["id"] = 65; }), HasSubstr("has id 65"));
  EXPECT_THAT(after([](auto& j) { j["added_tokens"][1] = j["added_tokens"][0]; }),
              HasSubstr("twice"));
  EXPECT_THAT(after([](auto& j) { j["added_tokens"] = 3; }), HasSubstr("added_tokens"));
}

/// A file with every part of the format and few tokens, so that all of it can be damaged.
std::string bytes_and_two_merges() {
  TokenizerSpec spec;
  spec.pattern = text::kLlama4Pattern;
  for (int byte = 0; byte < 256; ++byte) spec.tokens.push_back({static_cast<char>(byte)});
  spec.tokens.insert(spec.tokens.end(), {"he", "hen"});
  spec.specials = {{"<|begin_of_text|>", 258}, {"<|eot|>", 259}};
  return text::to_hf_tokenizer(*Tokenizer::create(spec));
}

// Refused with one line that says which part is wrong. load_tokenizer_files puts the path before
// what Tokenizer::create says.
bool is_refused(const std::string& file) {
  const std::string message = message_of(
      [&] { Tokenizer::create(text::parse_hf_tokenizer(file, "t.json"))->encode("hen"); });
  EXPECT_EQ(message.find('\n'), std::string::npos) << message;
  if (message == "no error") return false;
  EXPECT_THAT(message, testing::AnyOf(HasSubstr("t.json: "), testing::StartsWith("tokenizer: ")));
  return true;
}

TEST(HfTokenizerFile, CutAnywhereItIsRefused) {
  const std::string good = bytes_and_two_merges();
  const size_t end = good.find_last_of('}');
  for (size_t size = 0; size <= end; ++size) EXPECT_TRUE(is_refused(good.substr(0, size))) << size;
  EXPECT_FALSE(is_refused(good.substr(0, end + 1)));
}

TEST(HfTokenizerFile, ABitFlippedInAnyByteGivesAnErrorOrATokenizer) {
  const std::string good = bytes_and_two_merges();
  int refused = 0;
  for (size_t at = 0; at < good.size(); ++at) {
    for (const size_t bit : {at % 8, (at + 5) % 8}) {
      std::string bad = good;
      bad[at] = static_cast<char>(bad[at] ^ (1 << bit));
      refused += is_refused(bad);
    }
  }
  EXPECT_GT(refused, 1000);
}

TEST(SavedTokenizer, LoadsFromTheFolderAndFromEitherFile) {
  const std::filesystem::path folder = testing::TempDir() + "/saved_tokenizer";
  std::filesystem::create_directories(folder);
  text::save_tokenizer(*small_tokenizer(), folder);
  expect_same(*text::load_tokenizer_files(folder), *small_tokenizer());
  expect_same(*text::load_tokenizer_files(folder / "tokenizer.json"), *small_tokenizer());
  expect_same(*text::load_tokenizer_files(folder / "tokenizer.model"), *small_tokenizer());

  const auto config = read_json(folder / "tokenizer_config.json");
  EXPECT_EQ(config["bos_token"], "<|begin_of_text|>");
  EXPECT_EQ(config["eos_token"], "<|end_of_text|>");
  EXPECT_THAT(config["chat_template"].get<std::string>(), HasSubstr("<|header_start|>"));
  EXPECT_EQ(read_json(folder / "special_tokens_map.json")["pad_token"], "<|finetune_right_pad|>");
  std::filesystem::remove_all(folder);
}

TEST(SavedTokenizer, SaysWhatIsMissing) {
  const std::filesystem::path folder = testing::TempDir() + "/no_tokenizer";
  std::filesystem::create_directories(folder);
  EXPECT_THAT(message_of([&] { text::load_tokenizer_files(folder); }),
              HasSubstr("no tokenizer.json and no tokenizer.model"));
  EXPECT_THAT(message_of([&] { text::load_tokenizer_files(folder / "tokenizer.model"); }),
              HasSubstr("tokenizer.model"));
  std::filesystem::remove_all(folder);
}

class Llama4TokenizerExport : public testing::Test {
 protected:
  void SetUp() override {
    if (!llama4_tokenizer()) GTEST_SKIP() << kNoLlama4Tokenizer;
  }
};

TEST_F(Llama4TokenizerExport, HasTheNumberOfMergesThatGgufFilesOfLlama4Have) {
  EXPECT_EQ(text::all_merges(llama4_tokenizer()->vocabulary()).size(), 439'802u);
}

TEST_F(Llama4TokenizerExport, GivesTheSameIdsFromMergesAsFromRanks) {
  // The minimal merges are those of tokenizer.json: GivesTheSameFromTokenizerJson.
  TokenizerSpec spec = llama4_tokenizer()->spec();
  const auto& vocabulary = llama4_tokenizer()->vocabulary();
  spec.merges.clear();
  for (const text::Merge& merge : text::all_merges(vocabulary)) {
    spec.merges.emplace_back(vocabulary.bytes(merge.left), vocabulary.bytes(merge.right));
  }
  expect_same(*Tokenizer::create(spec), *llama4_tokenizer());
}

}  // namespace
}  // namespace corral::test
