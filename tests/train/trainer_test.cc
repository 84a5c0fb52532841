#include "train/trainer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <thread>

#include "base/error.h"
#include "model/loaded_model.h"
#include "train/trainer_fixture.h"

namespace corral::train {
namespace {

using ::testing::HasSubstr;

TEST(Trainer, LearnsAndLeavesAModelThatLoads) {
  const TinyRun tiny;
  Trainer trainer(tiny.recipe("[optimizer]\nlearning_rate = 5e-3\n"), tiny.options("run"));
  const TrainResult result = trainer.run();
  EXPECT_EQ(result.end, RunEnd::kFinished);
  EXPECT_EQ(result.step, 40);

  const auto lines = metrics_of(tiny.path() / "run");
  ASSERT_EQ(lines.size(), 45u);  // 40 steps, 5 validations
  const Json first = Json::parse(lines.front());
  const Json last_step = Json::parse(lines[43]);
  const Json last = Json::parse(lines.back());
  EXPECT_NEAR(first["loss"].get<double>(), std::log(320), 0.7);
  EXPECT_LT(last_step["loss"].get<double>(), 0.6 * first["loss"].get<double>());
  EXPECT_EQ(last_step["tokens"], 40 * 192);
  EXPECT_GT(last_step["epoch"].get<double>(), 1);
  EXPECT_EQ(last["step"], 40);
  EXPECT_GT(last["validation"]["text"]["bits_per_byte"].get<double>(), 0);
  EXPECT_EQ(last["validation"]["text"]["tokens"], 200);
  EXPECT_EQ(last_step["max_violation"].size(), 4u);

  const auto loaded =
      model::load_model(tiny.path() / "run" / "latest", Device::cpu({.threads = 1}));
  EXPECT_EQ(loaded.model.config().vocab_size, trainer.tokenizer().vocab_size());
  EXPECT_EQ(loaded.need_tokenizer()->vocab_size(), trainer.tokenizer().vocab_size());
  const Recipe resolved = read_recipe(tiny.path() / "run" / "recipe.toml");
  EXPECT_EQ(resolved.optimizer.learning_rate, 5e-3);
}

TEST(Trainer, ReportsEveryTokenToAnExpert) {
  const TinyRun tiny;
  Trainer trainer(tiny.recipe(), tiny.options("run"));
  for (int i = 1; i <= 4; ++i) {
    const StepReport report = trainer.step();
    ASSERT_EQ(report.expert_counts.size(), i == 4 ? 4u : 0u);
    for (const auto& layer : report.expert_counts) {
      int64_t sum = 0;
      for (const int64_t count : layer) sum += count;
      EXPECT_EQ(sum, 192);
    }
  }
}

TEST(Trainer, ResumesWithTheSameBits) {
  const TinyRun tiny;
  const Recipe recipe = tiny.recipe();
  const auto whole = Trainer(recipe, tiny.options("whole")).run();

  TrainerOptions options = tiny.options("parts", 2);  // another number of threads, too
  options.max_steps = 17;
  const TrainResult part = Trainer(recipe, options).run();
  EXPECT_EQ(part.end, RunEnd::kStepLimit);
  EXPECT_EQ(part.checkpoint.filename(), "step-000017");
  const auto rest = Trainer(recipe, tiny.options("parts")).run();

  EXPECT_EQ(rest.step, 40);
  for (const char* file : {"model.safetensors", "optimizer.safetensors", "config.json"}) {
    EXPECT_EQ(content_of(whole.checkpoint / file), content_of(rest.checkpoint / file)) << file;
  }
  EXPECT_EQ(metrics_of(tiny.path() / "whole"), metrics_of(tiny.path() / "parts"));
}

TEST(Trainer, LosesOnlyTheStepsSinceTheLastCheckpointWhenKilled) {
  const TinyRun tiny;
  Recipe recipe = tiny.recipe("[checkpoint]\nevery_steps = 7\n");
  recipe.schedule.kind = ScheduleKind::kConstant;  // does not depend on the number of steps
  recipe.steps = 1'000'000;

  const pid_t child = fork();
  if (child == 0) {
    Trainer(recipe, tiny.options("killed")).run();
    _exit(0);
  }
  while (metrics_of(tiny.path() / "killed").size() < 18) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  kill(child, SIGKILL);
  int status = 0;
  waitpid(child, &status, 0);
  ASSERT_TRUE(WIFSIGNALED(status));
  // What a checkpoint that was being written leaves behind.
  std::filesystem::create_directories(tiny.path() / "killed/step-999999.partial");

  recipe.steps = Trainer(recipe, tiny.options("killed")).steps_done() + 10;
  EXPECT_GE(recipe.steps, 24);
  EXPECT_EQ(recipe.steps % 7, 3);
  Trainer(recipe, tiny.options("killed")).run();
  Trainer(recipe, tiny.options("whole")).run();
  EXPECT_EQ(metrics_of(tiny.path() / "whole"), metrics_of(tiny.path() / "killed"));
  EXPECT_EQ(content_of(tiny.path() / "whole/latest/model.safetensors"),
            content_of(tiny.path() / "killed/latest/model.safetensors"));
}

TEST(Trainer, StaysOnTheSamePathWithRecomputation) {
  const TinyRun tiny;
  std::vector<double> losses;
  std::vector<double> norms;
  for (const char* more : {"", "recompute = true\n"}) {
    Recipe recipe = tiny.recipe();
    recipe.precision = quant::Precision::kF32;
    recipe.recompute = *more != 0;
    Trainer trainer(recipe, tiny.options(*more == 0 ? "plain" : "recomputed"));
    for (int i = 0; i < 3; ++i) trainer.step();
    const StepReport report = trainer.step();
    losses.push_back(report.loss);
    norms.push_back(report.gradient_norm);
  }
  EXPECT_EQ(losses[0], losses[1]);
  EXPECT_EQ(norms[0], norms[1]);
}

TEST(Trainer, SoonAsksTheSystemForNoMoreMemory) {
  const TinyRun tiny;
  const TrainerOptions options = tiny.options("run");
  Trainer trainer(tiny.recipe(), options);
  trainer.step();
  const Device::MemoryStats first = options.device->memory();
  // Buffers whose size follows from the lengths of documents and the loads of experts may still
  // fall into classes that the first step did not need.
  for (int i = 0; i < 19; ++i) trainer.step();
  const Device::MemoryStats warm = options.device->memory();
  EXPECT_LT(static_cast<double>(warm.held_bytes), 1.05 * static_cast<double>(first.held_bytes));
  for (int i = 0; i < 20; ++i) trainer.step();
  EXPECT_EQ(options.device->memory().system_allocations, warm.system_allocations);
}

TEST(Trainer, StopsAfterTheStepWhenAsked) {
  const TinyRun tiny;
  TrainerOptions options = tiny.options("run");
  const std::atomic<bool> stop{true};
  options.stop = &stop;
  const TrainResult at_once = Trainer(tiny.recipe(), options).run();
  EXPECT_EQ(at_once.end, RunEnd::kStopped);
  EXPECT_EQ(at_once.step, 0);
  EXPECT_TRUE(std::filesystem::exists(at_once.checkpoint / "model.safetensors"));

  options.stop = nullptr;
  options.max_minutes = 1e-9;
  EXPECT_EQ(Trainer(tiny.recipe(), options).run().end, RunEnd::kTimeLimit);
}

TEST(Trainer, KeepsTheNewestCheckpointsOnly) {
  const TinyRun tiny;
  Trainer(tiny.recipe("[checkpoint]\nevery_steps = 10\nkeep = 2\n"), tiny.options("run")).run();
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(tiny.path() / "run")) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("step-")) names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  EXPECT_THAT(names, ::testing::ElementsAre("step-000030", "step-000040"));
}

TEST(Trainer, RefusesToGoOnWithOtherDataModelOrBatch) {
  const TinyRun tiny;
  TrainerOptions options = tiny.options("run");
  options.max_steps = 1;
  Trainer(tiny.recipe(), options).run();
  const auto error_of = [&](const Recipe& recipe) -> std::string {
    try {
      Trainer trainer(recipe, options);
    } catch (const UsageError& error) {
      return error.what();
    }
    return "no UsageError";
  };
  Recipe recipe = tiny.recipe();
  recipe.seed = 4;
  EXPECT_THAT(error_of(recipe), HasSubstr("began with another seed"));
  recipe = tiny.recipe();
  recipe.batch.tokens = 200;
  EXPECT_THAT(error_of(recipe), HasSubstr("began with another batch"));
  recipe = tiny.recipe();
  recipe.data.pop_back();
  EXPECT_THAT(error_of(recipe), HasSubstr("began with another data"));
  // A longer run at another rate is the same run.
  recipe = tiny.recipe();
  recipe.steps = 50;
  recipe.optimizer.learning_rate = 1e-3;
  EXPECT_EQ(Trainer(recipe, options).steps_done(), 1);
}

TEST(Trainer, SetsAnEarlierRunAsideWhenToldToStartOver) {
  const TinyRun tiny;
  TrainerOptions options = tiny.options("run");
  options.max_steps = 2;
  Trainer(tiny.recipe(), options).run();
  options.resume = false;
  EXPECT_EQ(Trainer(tiny.recipe(), options).steps_done(), 0);
  EXPECT_TRUE(
      std::filesystem::exists(tiny.path() / "run/previous-1/step-000002/model.safetensors"));
  EXPECT_EQ(metrics_of(tiny.path() / "run/previous-1").size(), 2u);
  EXPECT_TRUE(metrics_of(tiny.path() / "run").empty());
}

TEST(Trainer, StartsFromTheWeightsOfAnotherRun) {
  const TinyRun tiny;
  TrainerOptions options = tiny.options("first");
  const TrainResult first = Trainer(tiny.recipe(), options).run();
  Recipe recipe = tiny.recipe();
  recipe.model.preset.clear();
  recipe.model.init_from = first.checkpoint.string();
  recipe.tokenizer.vocab_size = 0;
  recipe.tokenizer.path = first.checkpoint.string();
  Trainer second(recipe, tiny.options("second"));
  EXPECT_EQ(second.steps_done(), 0);
  EXPECT_LT(second.step().loss, 3.0);
}

}  // namespace
}  // namespace corral::train
