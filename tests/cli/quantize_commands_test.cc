#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

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
  EXPECT_THAT(gguf.err, HasSubstr("--quantize int4 writes a folder"));
  ASSERT_EQ(corral({"convert", path("m"), path("int4"), "--quantize", "int4"}).status, 0);
  const Result twice = corral({"bench", path("int4"), "-r", "1", "--quantize", "fp8"});
  EXPECT_EQ(twice.status, 2);
  EXPECT_THAT(twice.err, HasSubstr("quantized already"));
}

TEST(InfoCommand, SaysHowMuchMemoryScoutTakesInEachForm) {
  EXPECT_THAT(corral({"info", "scout"}).out, HasSubstr("with --quantize int4"));
}

}  // namespace
}  // namespace corral::cli
