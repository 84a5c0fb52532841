// --kv-type, --lookup, --draft, the table of `corral bench`, and `corral tune`.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>

#include "cli/run_corral.h"
#include "support/paths.h"
#include "support/temp_dir.h"

namespace corral::cli {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using Json = nlohmann::json;

/// The model that comes with Corral; on one thread, as it is small.
class SpeedCommands : public testing::Test {
 protected:
  static Result with_model(std::vector<std::string> arguments,
                           const std::vector<std::string>& more = {}) {
    const auto model = test::source_dir() / "models/llama-scout-mini.gguf";
    arguments.insert(arguments.begin() + 1, model.string());
    arguments.insert(arguments.end(), {"-t", "1"});
    arguments.insert(arguments.end(), more.begin(), more.end());
    return corral(arguments);
  }
  static Json answer(const std::vector<std::string>& more) {
    const Result result =
        with_model({"run", "-p", "Lily saw a dog. Lily saw a dog. Lily saw a dog.", "-n", "60",
                    "--json", "--seed", "3"},
                   more);
    EXPECT_EQ(result.status, 0) << result.err;
    return Json::parse(result.out);
  }
  std::string write(const std::string& name, const std::string& text) const {
    std::ofstream(dir.path() / name) << text;
    return (dir.path() / name).string();
  }

  test::TempDir dir;
};

TEST_F(SpeedCommands, GuessingChangesNoToken) {
  const auto model = test::source_dir() / "models/llama-scout-mini.gguf";
  for (const char* temperature : {"0", "0.8"}) {
    const Json plain = answer({"--temp", temperature, "--no-lookup"});
    const Json lookup = answer({"--temp", temperature});
    const Json draft =
        answer({"--temp", temperature, "--draft", model.string(), "--draft-tokens", "4"});
    EXPECT_EQ(lookup["tokens"], plain["tokens"]);
    EXPECT_EQ(draft["tokens"], plain["tokens"]);
    EXPECT_EQ(plain.count("speculation"), 0U);
    EXPECT_EQ(lookup.count("speculation"), 1U);
    EXPECT_GT(draft["speculation"]["steps"].get<int64_t>(), 0);
  }
  const Result both = with_model({"run", "-p", "x", "--lookup", "--draft", model.string()});
  EXPECT_EQ(both.status, 2);
  EXPECT_THAT(both.err, HasSubstr("choose one"));
}

TEST_F(SpeedCommands, KeysAndValuesInFewerBitsScoreAlmostTheSame) {
  const std::string text =
      write("t.txt", "Once upon a time there was a little girl. She saw a dog.");
  const auto loss = [&](const std::vector<std::string>& more) {
    const Result result = with_model({"perplexity", text, "--json"}, more);
    EXPECT_EQ(result.status, 0) << result.err;
    return Json::parse(result.out)["loss"].get<double>();
  };
  const double exact = loss({});
  EXPECT_EQ(loss({"--kv-type", "f32"}), exact);
  for (const char* type : {"bf16", "q8_0", "q8_0,q4_0"}) {
    EXPECT_NE(loss({"--kv-type", type}), exact) << type;
    EXPECT_NEAR(loss({"--kv-type", type}), exact, 0.1) << type;
  }
  EXPECT_EQ(loss({"--kv-type-k", "q8_0", "--kv-type-v", "bf16"}), loss({"--kv-type", "q8_0,bf16"}));
  const Result wrong = with_model({"run", "-p", "x", "--kv-type", "q3_k"});
  EXPECT_EQ(wrong.status, 2);
  EXPECT_THAT(wrong.err, HasSubstr("use f32, bf16, q8_0 or q4_0"));
}

TEST_F(SpeedCommands, InfoSaysWhatKeysAndValuesTake) {
  const Json json = Json::parse(corral({"info", "scout", "--json", "--context", "64"}).out);
  const Json& row = json["kv_cache"][0];
  EXPECT_EQ(row["bf16_bytes"].get<int64_t>(), int64_t{64} * 48 * 8 * 2 * 256);
  EXPECT_EQ(row["q4_0_bytes"].get<int64_t>(), int64_t{64} * 48 * 8 * 2 * 72);
}

TEST_F(SpeedCommands, BenchPrintsATableWithTheMachinesLimit) {
  const Result result = with_model({"bench", "-p", "8", "-n", "4", "-r", "2"},
                                   {"--depth", "16", "--batch", "3", "--kv-type", "q8_0,bf16"});
  ASSERT_EQ(result.status, 0) << result.err;
  EXPECT_THAT(result.out, AllOf(HasSubstr(" pp8 |"), HasSubstr("tg4 x3 @ d16"), HasSubstr(" ± "),
                                HasSubstr("q8_0,bf16"), HasSubstr(" % |")));
}

/// A variable of the environment while it lives.
class Variable {
 public:
  Variable(const char* name, const std::string& value) : name_(name) {
    if (const char* before = std::getenv(name)) before_ = before;
    ::setenv(name, value.c_str(), 1);
  }
  ~Variable() { before_ ? ::setenv(name_, before_->c_str(), 1) : ::unsetenv(name_); }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

 private:
  const char* name_;
  std::optional<std::string> before_;
};

TEST_F(SpeedCommands, TuneIsRememberedForTheFile) {
  const Variable cache("XDG_CACHE_HOME", dir.path().string());
  const auto model = (test::source_dir() / "models/llama-scout-mini.gguf").string();
  const std::vector<std::string> little = {"-p", "4", "-n", "2", "-r", "1"};
  const auto run = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin() + 1, model);
    const Result result = corral(arguments);
    EXPECT_EQ(result.status, 0) << result.err;
    return result.out;
  };
  const auto run_little = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), little.begin(), little.end());
    return run(arguments);
  };
  const auto threads = [&] { return Json::parse(run_little({"bench", "--json"}))["threads"]; };
  const Json before = threads();
  EXPECT_THAT(run_little({"tune", "--try", "3"}), HasSubstr("3 threads: "));
  EXPECT_EQ(threads(), 3);
  EXPECT_EQ(Json::parse(run_little({"bench", "--json", "-t", "2"}))["threads"], 2);
  run({"tune", "--forget"});
  EXPECT_EQ(threads(), before);

  const std::string several = run_little({"tune", "--try", "1,2"});
  EXPECT_THAT(several,
              AllOf(HasSubstr("1 thread: "), HasSubstr("2 threads: "), HasSubstr(", in memory: ")));
  const size_t taken = several.find("<-");
  EXPECT_NE(taken, several.npos);
  EXPECT_EQ(taken, several.rfind("<-"));
  const std::string line = several.substr(several.rfind('\n', taken) + 1, taken);
  const auto mapped = [&](std::vector<std::string> more) {
    more.insert(more.begin(), {"bench", "--json"});
    return Json::parse(run_little(more))["mmap"].get<bool>();
  };
  EXPECT_EQ(mapped({}), line.find(", in memory: ") > line.find("<-"));
  EXPECT_TRUE(mapped({"--mmap"}));
  EXPECT_FALSE(mapped({"--no-mmap"}));
  // What cannot be read counts as nothing.
  for (const char* text : {R"({"x": 1)", R"({"a": {"b": "c"}})"}) {
    std::ofstream(dir.path() / "corral" / "tuned.json") << text;
    EXPECT_EQ(threads(), before) << text;
  }
}

TEST_F(SpeedCommands, BenchMeasuresGuessingOnAText) {
  std::string line = "The dog ran to the tree and the cat sat on the mat. ";
  const std::string text = write("t.txt", line + line + line + line);
  const Result result = with_model({"bench", "-p", "0", "-n", "20", "-r", "1", "--json"},
                                   {"--text", text, "--lookup"});
  ASSERT_EQ(result.status, 0) << result.err;
  const Json json = Json::parse(result.out);
  EXPECT_GT(json["decode_tps"]["median"].get<double>(), 0);
  EXPECT_GT(json["decode_limit_tps"].get<double>(), 0);
  EXPECT_GT(json["text_plain_tps"]["median"].get<double>(), 0);
  EXPECT_GT(json["text_speculative_tps"]["median"].get<double>(), 0);
  EXPECT_EQ(json["prefill_tps"]["all"].size(), 0U);
  EXPECT_EQ(with_model({"bench", "--lookup"}).status, 2);
}

}  // namespace
}  // namespace corral::cli
