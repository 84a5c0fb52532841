#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "base/file.h"
#include "cli/run_corral.h"
#include "io/safetensors.h"
#include "support/paths.h"
#include "support/temp_dir.h"

namespace corral::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using Json = nlohmann::json;

std::string training_model() { return (test::data_dir() / "training").string(); }

TEST(Cli, ExplainsItself) {
  const Result help = corral({"--help"});
  EXPECT_EQ(help.status, 0);
  for (const char* command : {"chat", "run", "train", "convert", "bench", "info", "perplexity"}) {
    EXPECT_THAT(help.out, HasSubstr(command));
    const Result one = corral({command, "--help"});
    EXPECT_EQ(one.status, 0) << command;
    EXPECT_THAT(one.out, HasSubstr("Example")) << command;
  }
}

TEST(Cli, SaysInOneLineWhatWasMisused) {
  const std::vector<std::vector<std::string>> misuses = {
      {},
      {"sing"},
      {"run"},
      {"run", "m.gguf", "-p", "x", "--tmep", "1"},
      {"run", "no-such-model", "-p", "x"},
      {"info", "scuot"},
      {"bench", "m", "-r", "0"},
      {"run", "m", "-p", "x", "--temp", "-1"},
      {"info", "scout", "--threads", "0"}};
  for (const auto& arguments : misuses) {
    const Result result = corral(arguments);
    EXPECT_EQ(result.status, 2) << result.err;
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
    EXPECT_EQ(result.out, "");
  }
}

TEST(Cli, FailsWithStatusOneWhenAFileIsDamaged) {
  const test::TempDir dir;
  const auto file = dir.path() / "bad.gguf";
  write_file_atomically(file, "GGUF but not really");
  const Result result = corral({"run", file.string(), "-p", "x"});
  EXPECT_EQ(result.status, 1);
  EXPECT_THAT(result.err, HasSubstr("bad.gguf"));
}

TEST(InfoCommand, KnowsTheFamilyByArithmetic) {
  EXPECT_THAT(corral({"info", "scout"}).out,
              HasSubstr("108.64B total, 17.17B active, 871.93M image tower"));
  const Json json = Json::parse(corral({"info", "maverick", "--json", "--context", "1000"}).out);
  EXPECT_NEAR(json["parameters"]["total"].get<double>(), 401.58e9, 0.01e9);
  EXPECT_EQ(json["kv_cache"][0]["context"], 1000);
  EXPECT_EQ(json["config"]["model_type"], "llama4_text");
}

TEST(InfoCommand, ListsTheTypesOfAFile) {
  const Json json = Json::parse(corral({"info", training_model(), "--json"}).out);
  EXPECT_EQ(json["format"], "safetensors");
  EXPECT_GT(json["bytes_by_type"]["F32"].get<int64_t>(), 500000);
}

TEST(DebugGradients, AreTheGoldens) {
  const test::TempDir dir;
  const auto out = (dir.path() / "g.safetensors").string();
  const Result result = corral({"debug", "gradients", training_model(), "--batch",
                                training_model() + "/batch.json", "--out", out});
  ASSERT_EQ(result.status, 0) << result.err;
  EXPECT_NEAR(Json::parse(result.out)["loss"].get<double>(), 5.319009639125228, 1e-5);
  EXPECT_EQ(io::SafetensorsFile(out).tensors().size(),
            io::SafetensorsFile(test::data_dir() / "training/grads.safetensors").tensors().size());
}

TEST(DebugLogits, AreTheSameInPieces) {
  const test::TempDir dir;
  const auto cases = (dir.path() / "cases.json").string();
  Json tokens = Json::array();
  for (int i = 0; i < 30; ++i) tokens.push_back((i * 37 + 11) % 128);
  write_file_atomically(
      cases, Json{{"cases", {{{"name", "a"}, {"tokens", tokens}}}},
                  {"greedy", {{{"name", "g"}, {"prompt", {1, 2, 3}}, {"output", {0, 0, 0, 0}}}}}}
                 .dump());
  const auto run_pieces = [&](const std::string& name, const std::vector<std::string>& extra) {
    std::vector<std::string> arguments = {"debug",
                                          "logits",
                                          training_model(),
                                          "--cases",
                                          cases,
                                          "--out",
                                          (dir.path() / name).string(),
                                          "--trace"};
    arguments.insert(arguments.end(), extra.begin(), extra.end());
    const Result result = corral(arguments);
    EXPECT_EQ(result.status, 0) << result.err;
    EXPECT_EQ(Json::parse(result.out)["output"].size(), 4u);
    return read_file(dir.path() / name);
  };
  const std::string whole = run_pieces("whole", {});
  EXPECT_EQ(run_pieces("seven", {"--piece", "7"}), whole);
  const io::SafetensorsFile file(dir.path() / "whole");
  for (const char* name :
       {"a.logits", "a.experts", "a.embed", "a.layer0.out", "a.layer3.attn_out", "a.final_norm"}) {
    EXPECT_TRUE(file.has(name)) << name;
  }
}

TEST(DebugLogits, RefusesIdsThatAreNoTokens) {
  const test::TempDir dir;
  const auto cases = (dir.path() / "cases.json").string();
  for (const char* ids : {"[128]", "[-1]", "[1.5]", "[\"a\"]", "[]", "7"}) {
    write_file_atomically(cases, str(R"({"cases":[{"name":"a","tokens":)", ids, "}]}"));
    const Result result = corral({"debug", "logits", training_model(), "--cases", cases, "--out",
                                  (dir.path() / "o").string()});
    EXPECT_EQ(result.status, 1) << ids;
    EXPECT_THAT(result.err, HasSubstr("cases.json")) << ids;
    EXPECT_FALSE(std::filesystem::exists(dir.path() / "o"));
  }
}

TEST(InitAndConvert, MakeModelsThatAnswer) {
  const test::TempDir dir;
  const auto path = [&](const char* name) { return (dir.path() / name).string(); };
  ASSERT_EQ(corral({"init", "tiny", path("hf"), "--type", "f32", "--vocab-size", "300",
                    "--tokenizer", "none"})
                .status,
            0);
  ASSERT_EQ(corral({"convert", path("hf"), path("m.gguf"), "--type", "f32"}).status, 0);
  ASSERT_EQ(corral({"convert", path("m.gguf"), path("back"), "--type", "f32"}).status, 0);
  EXPECT_EQ(read_file(path("hf") + "/model.safetensors"),
            read_file(path("back") + "/model.safetensors"));
  const Result bench =
      corral({"bench", path("m.gguf"), "-p", "16", "-n", "4", "-r", "1", "--json"});
  ASSERT_EQ(bench.status, 0) << bench.err;
  EXPECT_GT(Json::parse(bench.out)["decode_tps"]["median"].get<double>(), 0);
  const Result run = corral({"run", path("m.gguf"), "-p", "x"});
  EXPECT_EQ(run.status, 1);
  EXPECT_THAT(run.err, HasSubstr("no tokenizer"));
  EXPECT_EQ(corral({"convert", path("m.gguf"), path("m.gguf")}).status, 2);
}

}  // namespace
}  // namespace corral::cli
