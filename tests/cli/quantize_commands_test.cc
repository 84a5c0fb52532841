#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "base/file.h"
#include "cli/run_corral.h"
#include "support/temp_dir.h"

namespace corral::cli {
namespace {

using ::testing::HasSubstr;

class QuantizeOption : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(corral({"init", "tiny", path("m"), "--layers", "2"}).status, 0);
  }
  std::string path(const std::string& name) const { return (dir.path() / name).string(); }
  test::TempDir dir;
};

TEST_F(QuantizeOption, WritesInt4FilesThatAreModels) {
  const Result converted = corral({"convert", path("m"), path("int4"), "--quantize", "int4"});
  ASSERT_EQ(converted.status, 0) << converted.err;
  const auto info = nlohmann::json::parse(corral({"info", path("int4"), "--json"}).out);
  EXPECT_GT(info["bytes_by_type"]["I32"].get<int64_t>(), 0);
  EXPECT_LT(info["memory_bytes"]["int4"].get<int64_t>(), info["memory_bytes"]["fp8"]);
  const Result bench = corral({"bench", path("int4"), "-p", "4", "-n", "2", "-r", "1", "--json"});
  EXPECT_EQ(bench.status, 0) << bench.err;
}

TEST_F(QuantizeOption, MakesExpertsSmallerAtLoad) {
  for (const char* coding : {"int4", "fp8"}) {
    const Result bench = corral(
        {"bench", path("m"), "-p", "4", "-n", "2", "-r", "1", "--json", "--quantize", coding});
    EXPECT_EQ(bench.status, 0) << bench.err;
  }
}

TEST_F(QuantizeOption, SaysWhatDoesNotGoTogether) {
  EXPECT_EQ(corral({"bench", path("m"), "--quantize", "int3"}).status, 2);
  const Result gguf = corral({"convert", path("m"), path("m.gguf"), "--quantize", "int4"});
  EXPECT_EQ(gguf.status, 2);
  EXPECT_THAT(gguf.err, HasSubstr("--quantize writes a folder"));
  ASSERT_EQ(corral({"convert", path("m"), path("int4"), "--quantize", "int4"}).status, 0);
  const Result twice = corral({"bench", path("int4"), "-r", "1", "--quantize", "fp8"});
  EXPECT_EQ(twice.status, 2);
  EXPECT_THAT(twice.err, HasSubstr("quantized already"));
}

TEST_F(QuantizeOption, WritesFp8FoldersByTypeAndRefusesThemAsGguf) {
  ASSERT_EQ(corral({"convert", path("m"), path("fp8"), "--type", "fp8"}).status, 0);
  const auto info = nlohmann::json::parse(corral({"info", path("fp8"), "--json"}).out);
  EXPECT_GT(info["bytes_by_type"]["F8_E4M3"].get<int64_t>(), 0);
  const Result gguf = corral({"convert", path("m"), path("m.gguf"), "--type", "fp8"});
  EXPECT_EQ(gguf.status, 2);
  EXPECT_THAT(gguf.err, HasSubstr("use q8_0"));
}

TEST(InitCommand, MakesAModelThatTalksInAnyForm) {
  const test::TempDir dir;
  const auto path = [&](const std::string& name) { return (dir.path() / name).string(); };
  for (const std::string type : {"mix4", "iq4_xs"}) {
    const std::string out = path(type + ".gguf");
    ASSERT_EQ(corral({"init", "tiny", out, "--type", type}).status, 0);
    EXPECT_EQ(corral({"run", out, "-p", "abc", "-n", "2"}).status, 0);
  }
  for (const std::string type : {"f16", "fp8"}) {
    ASSERT_EQ(corral({"init", "tiny", path(type), "--type", type}).status, 0);
    EXPECT_EQ(corral({"run", path(type), "-p", "abc", "-n", "2"}).status, 0);
  }
  ASSERT_EQ(corral({"init", "tiny", path("a.gguf"), "-t", "1"}).status, 0);
  ASSERT_EQ(corral({"init", "tiny", path("b.gguf"), "-t", "3"}).status, 0);
  EXPECT_EQ(read_file(path("a.gguf")), read_file(path("b.gguf")));
}

TEST(InitCommand, SaysWhatTheVocabularyNeeds) {
  const test::TempDir dir;
  const auto path = (dir.path() / "m").string();
  const Result small = corral({"init", "tiny", path, "--vocab-size", "100"});
  EXPECT_EQ(small.status, 2);
  EXPECT_THAT(small.err, HasSubstr("--tokenizer none"));
  ASSERT_EQ(corral({"init", "tiny", path}).status, 0);
  const Result less =
      corral({"init", "tiny", path + "2", "--tokenizer", path, "--vocab-size", "1000"});
  EXPECT_EQ(less.status, 2);
  EXPECT_THAT(less.err, HasSubstr("the tokenizer has 1024 tokens"));
  EXPECT_EQ(corral({"init", "tiny", path + "3", "--tokenizer", path}).status, 0);
}

TEST(CalibrateCommand, MakesImportancesThatConvertTakes) {
  const test::TempDir dir;
  const auto path = [&](const std::string& name) { return (dir.path() / name).string(); };
  ASSERT_EQ(corral({"init", "tiny", path("m.gguf"), "--type", "f32"}).status, 0);
  write_file_atomically(path("text.txt"), "abc is not a word, and neither is xyz.");
  const Result done =
      corral({"calibrate", path("m.gguf"), "--data", path("text.txt"), "--out", path("i.gguf")});
  ASSERT_EQ(done.status, 0) << done.err;
  EXPECT_THAT(done.out, HasSubstr("importances from"));
  const auto convert = [&](const std::string& in, const std::string& out) {
    return corral(
        {"convert", path(in), path(out), "--type", "iq4_nl", "--importance", path("i.gguf")});
  };
  EXPECT_EQ(convert("m.gguf", "with.gguf").status, 0);
  ASSERT_EQ(corral({"convert", path("m.gguf"), path("none.gguf"), "--type", "iq4_nl"}).status, 0);
  EXPECT_NE(read_file(path("with.gguf")), read_file(path("none.gguf")));
  EXPECT_EQ(convert("m.gguf", "folder").status, 2);
  ASSERT_EQ(corral({"init", "scout-mini", path("o.gguf"), "--layers", "1"}).status, 0);
  const Result other = convert("o.gguf", "other.gguf");
  EXPECT_EQ(other.status, 2);
  EXPECT_THAT(other.err, HasSubstr("they are of another model"));
}

TEST(InfoCommand, SaysHowMuchMemoryScoutTakesInEachForm) {
  EXPECT_THAT(corral({"info", "scout"}).out, HasSubstr("with --quantize int4"));
}

}  // namespace
}  // namespace corral::cli
