#include "train/recipe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "base/error.h"
#include "base/file.h"
#include "support/paths.h"
#include "support/temp_dir.h"

namespace corral::train {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const std::string kSmallest =
    "[model]\npreset = \"tiny\"\n[tokenizer]\nvocab_size = 512\n[[data]]\npath = \"a.txt\"\n";

std::string error_of(const std::string& text) {
  try {
    parse_recipe(text, "r.toml");
  } catch (const UsageError& error) {
    return error.what();
  }
  return "no UsageError";
}

TEST(Recipe, NeedsOnlyModelTokenizerAndData) {
  const Recipe recipe = parse_recipe(kSmallest, "r.toml");
  EXPECT_EQ(recipe.model.preset, "tiny");
  EXPECT_EQ(recipe.tokenizer.vocab_size, 512);
  ASSERT_EQ(recipe.data.size(), 1u);
  EXPECT_THAT(recipe.data[0].files, ElementsAre("a.txt"));
  EXPECT_EQ(recipe.data[0].repeat, 1);
  EXPECT_EQ(recipe.batch.tokens, 16384);
  EXPECT_EQ(recipe.precision, quant::Precision::kBF16);
}

TEST(Recipe, ReadsEveryKindOfValue) {
  const Recipe recipe = parse_recipe(
      "name = \"x\"\nseed = 9\nsteps = 77\nprecision = \"f32\"\nrecompute = true\n" + kSmallest +
          "repeat = 2.5\nsupervise = \"assistant\"\n"
          "[[data]]\nname = \"b\"\npath = [\"b1.jsonl\", \"b2.jsonl.zst\"]\nrepeat = 3\n"
          "[optimizer]\nlearning_rate = 4e-3\nclip_norm = 0\nbeta2 = 0.99\n"
          "[schedule]\nkind = \"cosine\"\ndecay = \"1-sqrt\"\nwarmup_steps = 5\n"
          "[balance]\ncoefficient = 0.01\n[validation]\nevery_steps = 3\n"
          "[[validation.data]]\nname = \"v\"\npath = \"v.txt\"\n",
      "r.toml");
  EXPECT_EQ(recipe.seed, 9u);
  EXPECT_EQ(recipe.steps, 77);
  EXPECT_EQ(recipe.precision, quant::Precision::kF32);
  EXPECT_TRUE(recipe.recompute);
  ASSERT_EQ(recipe.data.size(), 2u);
  EXPECT_EQ(recipe.data[0].repeat, 2.5);
  EXPECT_EQ(recipe.data[0].supervise, data::Supervise::kAssistant);
  EXPECT_THAT(recipe.data[1].files, ElementsAre("b1.jsonl", "b2.jsonl.zst"));
  EXPECT_EQ(recipe.data[1].repeat, 3);
  EXPECT_EQ(recipe.optimizer.learning_rate, 4e-3);
  EXPECT_EQ(recipe.optimizer.clip_norm, 0);
  EXPECT_EQ(recipe.optimizer.adamw.beta2, 0.99);
  EXPECT_EQ(recipe.schedule.kind, ScheduleKind::kCosine);
  EXPECT_EQ(recipe.schedule.decay, DecayShape::kOneMinusSqrt);
  EXPECT_EQ(recipe.balance_coefficient, 0.01);
  ASSERT_EQ(recipe.validation.data.size(), 1u);
  EXPECT_EQ(recipe.validation.data[0].name, "v");
}

TEST(Recipe, IsWrittenOutSuchThatItReadsBackTheSame) {
  Recipe recipe = parse_recipe(kSmallest + "[[data]]\npath = \"q\\\"uote\\n.txt\"\n", "r.toml");
  recipe.optimizer.learning_rate = 0.1 + 0.2;
  recipe.optimizer.adamw.epsilon = 1e-15;
  recipe.validation.data = recipe.data;
  const std::string text = to_toml(recipe);
  EXPECT_EQ(to_toml(parse_recipe(text, "r.toml")), text);
  EXPECT_EQ(parse_recipe(text, "r.toml").optimizer.learning_rate, 0.1 + 0.2);
  EXPECT_EQ(parse_recipe(text, "r.toml").data[1].files[0], "q\"uote\n.txt");
}

TEST(Recipe, NamesLineAndNearestKeyOfAnUnknownOne) {
  EXPECT_EQ(error_of(kSmallest + "[optimizer]\nlearnin_rate = 1e-3\n"),
            "r.toml:8: unknown key 'optimizer.learnin_rate', did you mean "
            "'optimizer.learning_rate'?");
  EXPECT_THAT(error_of("sed = 1\n" + kSmallest),
              HasSubstr("r.toml:1: unknown key 'sed', did you mean 'seed'?"));
  EXPECT_THAT(error_of(kSmallest + "repeats = 2\n"), HasSubstr("did you mean 'data.repeat'?"));
  EXPECT_THAT(error_of(kSmallest + "[zzzzzzzz]\n"), HasSubstr("r.toml:7: unknown key 'zzzzzzzz'"));
}

TEST(Recipe, ChecksTypesAndRanges) {
  EXPECT_EQ(error_of("steps = 0\n" + kSmallest), "r.toml:1: steps is 0, needs 1 to 1099511627776");
  EXPECT_EQ(error_of("steps = \"many\"\n" + kSmallest),
            "r.toml:1: steps is 'many', needs a whole number");
  EXPECT_THAT(error_of("seed = -1\n" + kSmallest), HasSubstr("seed is -1, needs 0 or more"));
  EXPECT_THAT(error_of("precision = \"fp8\"\n" + kSmallest),
              HasSubstr("precision is 'fp8', needs one of \"bf16\", \"f32\""));
  EXPECT_THAT(error_of(kSmallest + "[optimizer]\nlearning_rate = nan\n"),
              HasSubstr("optimizer.learning_rate is nan"));
  EXPECT_THAT(error_of(kSmallest + "[optimizer]\nlearning_rate = true\n"), HasSubstr("a number"));
  EXPECT_THAT(error_of("batch = 7\n" + kSmallest), HasSubstr("batch is 7, needs a table: [batch]"));
  EXPECT_THAT(error_of("data = 7\n[model]\npreset = \"tiny\"\n"),
              HasSubstr("a list of tables: [[data]]"));
  EXPECT_THAT(error_of(kSmallest + "[checkpoint]\nkeep = 0\n"), HasSubstr("checkpoint.keep is 0"));
}

TEST(Recipe, RefusesContradictions) {
  EXPECT_THAT(error_of(kSmallest + "weight = 1\n[[data]]\npath = \"b\"\n"),
              HasSubstr("either all [[data]] have a weight or none has"));
  EXPECT_THAT(error_of(kSmallest + "weight = 1\nrepeat = 2\n"), HasSubstr("not both"));
  EXPECT_THAT(error_of("objective = \"dream\"\n" + kSmallest), HasSubstr("objective is"));
  EXPECT_THAT(error_of("[tokenizer]\nvocab_size = 512\n[[data]]\npath = \"a\"\n"),
              HasSubstr("exactly one of preset, config and init_from"));
  EXPECT_THAT(error_of("[model]\npreset = \"tiny\"\n[[data]]\npath = \"a\"\n"),
              HasSubstr("either path or vocab_size"));
  EXPECT_THAT(error_of("[model]\npreset = \"tiny\"\n[tokenizer]\nvocab_size = 512\n"),
              HasSubstr("no [[data]]"));
  EXPECT_THAT(error_of(kSmallest + "[batch]\ntokens = 100\n"), HasSubstr("micro_batch_tokens"));
}

TEST(Recipe, NamesTheLineOfBrokenToml) {
  EXPECT_THAT(error_of("steps = 1\nsteps = \n"), HasSubstr("r.toml:2: "));
  EXPECT_THAT(error_of("a = \"\xff\"\n"), HasSubstr("r.toml:1: "));
  EXPECT_NE(error_of(std::string(100'000, '[')), "no UsageError");
  EXPECT_THROW(read_recipe("/nowhere/r.toml"), IoError);
}

TEST(Recipe, FindsItsFilesBesideItselfOrBelowTheDataRoot) {
  const test::TempDir dir;
  std::filesystem::create_directories(dir.path() / "text");
  for (const char* name : {"b.train.jsonl", "a.train.jsonl", "a.valid.jsonl"}) {
    std::ofstream(dir.path() / "text" / name) << "";
  }
  std::ofstream(dir.path() / "r.toml") << kSmallest;
  Recipe recipe = read_recipe(dir.path() / "r.toml");
  EXPECT_EQ(recipe.name, "r");
  EXPECT_EQ(data_path(recipe, "a.txt"), dir.path() / "a.txt");
  EXPECT_EQ(recipe_path(recipe, "/x/y"), "/x/y");
  recipe.data_root = "text";
  EXPECT_EQ(data_path(recipe, "a.txt"), dir.path() / "text/a.txt");
  EXPECT_EQ(recipe_path(recipe, "a.txt"), dir.path() / "a.txt");
  recipe.data[0].files = {"*.train.*", "a.valid.jsonl"};
  EXPECT_THAT(data_files(recipe, recipe.data[0]),
              ElementsAre(dir.path() / "text/a.train.jsonl", dir.path() / "text/b.train.jsonl",
                          dir.path() / "text/a.valid.jsonl"));
  recipe.data[0].files = {"*.zst"};
  EXPECT_THROW(data_files(recipe, recipe.data[0]), UsageError);
}

TEST(Recipe, IsDocumentedKeyByKey) {
  const std::filesystem::path source = test::source_dir();
  const std::string page = read_file(source / "docs/formats/recipe.md");
  Recipe recipe = parse_recipe(kSmallest, "r.toml");
  recipe.validation.data = recipe.data;
  std::istringstream lines(to_toml(recipe));
  for (std::string line; std::getline(lines, line);) {
    const std::string key = line.substr(0, line.find(' '));
    if (key.empty()) continue;
    EXPECT_THAT(page, HasSubstr(key.front() == '[' ? key : "`" + key + "`"));
  }
}

TEST(Recipe, IsWhatTheFilesInRecipesAre) {
  int recipes = 0;
  for (const auto& entry : std::filesystem::directory_iterator(test::source_dir() / "recipes")) {
    if (entry.path().extension() != ".toml") continue;
    ++recipes;
    EXPECT_NO_THROW(read_recipe(entry.path())) << entry.path();
  }
  EXPECT_GE(recipes, 2);
}

}  // namespace
}  // namespace corral::train
