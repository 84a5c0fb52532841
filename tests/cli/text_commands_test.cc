// `corral tokenizer train`, `corral debug tokenize` and `corral debug render`.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "cli/run_corral.h"
#include "support/paths.h"

namespace corral::cli {
namespace {

using ::testing::HasSubstr;
using OrderedJson = nlohmann::ordered_json;

class TextCommands : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::path(testing::TempDir()) /
              testing::UnitTest::GetInstance()->current_test_info()->name();
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string write(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ / name) << text;
    return (folder_ / name).string();
  }

  /// A tokenizer trained from two files by the command; its folder.
  std::string trained(const std::string& name = "tokenizer") const {
    std::string lines;
    for (int i = 0; i < 20; ++i) {
      lines += R"({"text": "the hen and the horse went to the sea"})"
               "\n";
      lines += R"({"messages": [{"role": "user", "content": "where is the hen?"}]})"
               "\n";
    }
    const std::string out = (folder_ / name).string();
    last_ = corral({"tokenizer", "train", "--vocab", "512", "--out", out, write("a.jsonl", lines),
                    write("b.txt", "plain text about the horse and the horse")});
    EXPECT_EQ(last_.status, 0) << last_.err;
    return out;
  }

  std::filesystem::path folder_;
  mutable Result last_;
};

TEST_F(TextCommands, TrainATokenizerThatTheOthersRead) {
  const std::string tokenizer = trained();
  EXPECT_THAT(last_.out, HasSubstr("41 documents"));
  EXPECT_THAT(last_.err, HasSubstr("smaller than 512"));
  for (const char* file : {"", "/tokenizer.json", "/tokenizer.model"}) {
    const Result result =
        corral({"debug", "tokenize", tokenizer + file}, "{\"text\": \" horse\"}\n");
    EXPECT_EQ(result.status, 0) << result.err;
    EXPECT_EQ(OrderedJson::parse(result.out)["ids"].size(), 1u) << result.out;
  }
}

TEST_F(TextCommands, TrainTheSameTokenizerTwice) {
  const auto read = [](const std::string& path) {
    std::ifstream in(path);
    return std::string((std::istreambuf_iterator<char>(in)), {});
  };
  EXPECT_EQ(read(trained("one") + "/tokenizer.json"), read(trained("two") + "/tokenizer.json"));
}

TEST_F(TextCommands, TokenizeAndBack) {
  const std::string tokenizer = trained();
  const Result encoded =
      corral({"debug", "tokenize", tokenizer},
             "{\"text\": \"the <|eot|>\"}\n\n"
             "{\"text\": \"the <|eot|>\", \"special\": true, \"bos\": true, \"eos\": true}\n"
             "{\"text\": \"<|eot|>\", \"special\": [\"<|eom|>\"]}\n"
             "{\"utf8_hex\": \"ff00e4bd\"}\n");
  ASSERT_EQ(encoded.status, 0) << encoded.err;
  const Result decoded = corral({"debug", "tokenize", "--decode", tokenizer}, encoded.out);
  ASSERT_EQ(decoded.status, 0) << decoded.err;
  std::istringstream lines(decoded.out);
  std::vector<OrderedJson> texts;
  for (std::string line; std::getline(lines, line);) texts.push_back(OrderedJson::parse(line));
  ASSERT_EQ(texts.size(), 4u);
  EXPECT_EQ(texts[0]["text"], "the <|eot|>");
  EXPECT_EQ(texts[1]["text"], "<|begin_of_text|>the <|eot|><|end_of_text|>");
  EXPECT_EQ(texts[2]["text"], "<|eot|>");
  EXPECT_EQ(texts[3]["utf8_hex"], "ff00e4bd");
}

TEST_F(TextCommands, RenderPromptsAndParseAnswers) {
  const std::string tokenizer = trained();
  const Result rendered =
      corral({"debug", "render", tokenizer},
             R"({"messages": [{"role": "user", "content": [{"image": "x.png"}, {"text": "Hi"}]}],)"
             R"( "tiles_per_image": [[1, 2]], "add_generation_prompt": false})");
  ASSERT_EQ(rendered.status, 0) << rendered.err;
  const auto json = OrderedJson::parse(rendered.out);
  EXPECT_THAT(json["prompt"].get<std::string>(), HasSubstr("<|tile_x_separator|>"));
  EXPECT_THAT(json["prompt"].get<std::string>(), testing::EndsWith("Hi<|eot|>"));
  const Result parsed =
      corral({"debug", "render", "--parse", tokenizer}, R"({"text": "[f(x=1)]<|eom|>"})");
  ASSERT_EQ(parsed.status, 0) << parsed.err;
  const auto answer = OrderedJson::parse(parsed.out);
  EXPECT_EQ(answer["stop_reason"], "end_of_message");
  EXPECT_EQ(answer["tool_calls"][0]["arguments"]["x"], 1);
}

TEST_F(TextCommands, NameTheInputLineThatIsWrong) {
  const std::string tokenizer = trained();
  const auto complaint = [&](std::vector<std::string> arguments, const std::string& input) {
    const Result result = corral(arguments, input);
    EXPECT_EQ(result.status, 1);
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
    return result.err;
  };
  EXPECT_THAT(complaint({"debug", "tokenize", tokenizer}, "{\"text\": \"a\"}\n{\"text\": 3}"),
              HasSubstr("standard input, line 2: a member has the wrong type"));
  EXPECT_THAT(complaint({"debug", "tokenize", tokenizer}, "{}"), HasSubstr("neither \"text\""));
  EXPECT_THAT(complaint({"debug", "tokenize", tokenizer}, "[1]"), HasSubstr("no JSON object"));
  EXPECT_THAT(complaint({"debug", "tokenize", tokenizer}, "{\"utf8_hex\": \"0g\"}"),
              HasSubstr("no hexadecimal digit"));
  EXPECT_THAT(complaint({"debug", "tokenize", "--decode", tokenizer}, "{\"ids\": [1, 512]}"),
              HasSubstr("id 512, needs 0 to "));
  EXPECT_THAT(complaint({"debug", "tokenize", "--decode", tokenizer}, "{\"ids\": [1e99]}"),
              HasSubstr("needs 0 to "));
  EXPECT_THAT(complaint({"debug", "render", tokenizer}, "{\"messages\": [{}]}"),
              HasSubstr("message 0 has no text \"role\""));
  EXPECT_THAT(complaint({"debug", "tokenize", write("tokenizer.model", "garbage")}, ""),
              HasSubstr("line 1 has no space"));
}

TEST_F(TextCommands, ComplainOfMisuse) {
  EXPECT_EQ(corral({"tokenizer", "train", "--out", folder_.string()}).status, 2);
  EXPECT_EQ(corral({"tokenizer", "train", write("a.txt", "x")}).status, 2);
  EXPECT_EQ(corral({"tokenizer", "train", "--vocab", "100", "--out", folder_.string(),
                    write("a.txt", "x")})
                .status,
            2);
  EXPECT_EQ(corral({"tokenizer", "train", "--out", folder_.string(), write("a.pdf", "x")}).status,
            2);
  EXPECT_EQ(corral({"tokenizer", "train", "--out", folder_.string(), "missing.txt"}).status, 1);
  EXPECT_EQ(corral({"tokenizer", "train", "--out", write("file", ""), write("a.txt", "x")}).status,
            1);
  EXPECT_EQ(corral({"debug", "tokenize", "no-such-model"}).status, 2);
}

}  // namespace
}  // namespace corral::cli
