#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/file.h"
#include "cli/run_corral.h"
#include "support/paths.h"
#include "support/temp_dir.h"

namespace corral::cli {
namespace {

using ::testing::HasSubstr;

std::string tiny_recipe() { return (test::source_dir() / "recipes/tiny.toml").string(); }

TEST(TrainCommand, GoesFromTextToAModelThatRecitesAndToAPage) {
  const test::TempDir dir;
  const std::string out = (dir.path() / "run").string();
  const Result first =
      corral({"train", tiny_recipe(), "--out", out, "--max-steps", "3", "-t", "1"});
  ASSERT_EQ(first.status, 0) << first.err;
  EXPECT_THAT(first.out, HasSubstr("stopped at --max-steps after step 3 of 120"));
  EXPECT_THAT(first.err, HasSubstr("the same command goes on from there"));
  EXPECT_THAT(first.err, HasSubstr("step 3/120  loss "));

  const Result rest = corral({"train", tiny_recipe(), "--out", out, "-t", "1"});
  ASSERT_EQ(rest.status, 0) << rest.err;
  EXPECT_THAT(rest.err, HasSubstr("resuming at step 3"));
  EXPECT_THAT(rest.out, HasSubstr("finished after step 120 of 120"));

  const Result recital = corral(
      {"run", out + "/latest", "-p", "Twinkle, twinkle", "-n", "40", "--temp", "0", "-t", "1"});
  ASSERT_EQ(recital.status, 0) << recital.err;
  EXPECT_THAT(recital.out, HasSubstr("How I wonder what you are!"));

  const Result plot = corral({"plot", out});
  ASSERT_EQ(plot.status, 0) << plot.err;
  EXPECT_EQ(plot.out, out + "/plot.html\n");
  EXPECT_THAT(read_file(out + "/plot.html"), HasSubstr("<title>run</title>"));
}

TEST(TrainCommand, SaysWhatIsWrongWithARecipe) {
  const test::TempDir dir;
  const std::string recipe = (dir.path() / "r.toml").string();
  std::ofstream(recipe) << "stepps = 3\n";
  const Result unknown = corral({"train", recipe});
  EXPECT_EQ(unknown.status, 2);
  EXPECT_EQ(unknown.err, "corral: " + recipe + ":1: unknown key 'stepps', did you mean 'steps'?\n");
  EXPECT_EQ(corral({"train", "/nowhere.toml"}).status, 1);
  EXPECT_EQ(corral({"train"}).status, 2);
  EXPECT_EQ(corral({"train", tiny_recipe(), "--max-steps", "0"}).status, 2);
}

TEST(TrainCommand, LooksForDataBelowTheDataRoot) {
  const test::TempDir dir;
  const Result missing = corral({"train", tiny_recipe(), "--out", (dir.path() / "run").string(),
                                 "--data-root", dir.path().string()});
  EXPECT_EQ(missing.status, 1);
  EXPECT_THAT(missing.err, HasSubstr((dir.path() / "tiny.txt").string()));
}

TEST(PlotCommand, WritesWhereItIsToldAndNamesWhatIsMissing) {
  const test::TempDir dir;
  std::ofstream(dir.path() / "metrics.jsonl") << "{\"step\": 1, \"loss\": 2.5}\n";
  const std::string page = (dir.path() / "x.html").string();
  EXPECT_EQ(corral({"plot", (dir.path() / "metrics.jsonl").string(), "--out", page}).status, 0);
  EXPECT_THAT(read_file(page), HasSubstr("2.5000"));
  const Result missing = corral({"plot", (dir.path() / "none").string()});
  EXPECT_EQ(missing.status, 1);
  EXPECT_THAT(missing.err, HasSubstr("none"));
}

}  // namespace
}  // namespace corral::cli
