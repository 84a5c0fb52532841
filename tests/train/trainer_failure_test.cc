#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <cstring>
#include <limits>

#include "base/error.h"
#include "train/trainer.h"
#include "train/trainer_fixture.h"

namespace corral::train {
namespace {

using ::testing::HasSubstr;

/// Trains three steps, puts `value` into the first element of a parameter, and returns what the
/// fourth step says.
std::string error_with(const TinyRun& tiny, const std::string& parameter, float value) {
  TrainerOptions options = tiny.options("run");
  options.max_steps = 3;
  Trainer(tiny.recipe(), options).run();
  Trainer trainer(tiny.recipe(), options);
  for (const model::NamedParameter& p : trainer.model().parameters()) {
    if (p.name != parameter) continue;
    Tensor alias = p.value;
    alias.mutable_data<float>()[0] = value;
  }
  try {
    trainer.step();
  } catch (const Error& error) {
    return error.what();
  }
  return "no Error";
}

TEST(TrainerFailure, NamesStepAndTensorOfALossThatIsNotANumber) {
  const TinyRun tiny;
  const std::string name = "model.layers.2.self_attn.q_proj.weight";
  const std::string message = error_with(tiny, name, std::numeric_limits<float>::quiet_NaN());
  EXPECT_THAT(message, HasSubstr("step 4: "));
  EXPECT_THAT(message, HasSubstr("first tensor that is not finite: " + name));
  EXPECT_THAT(message, HasSubstr("the last checkpoint is"));
  EXPECT_THAT(message, HasSubstr("step-000003"));
  // It is intact: the run goes on from there.
  EXPECT_EQ(Trainer(tiny.recipe(), tiny.options("run")).run().step, 40);
}

TEST(TrainerFailure, NamesTheActivationThatOverflowed) {
  const TinyRun tiny;
  EXPECT_THAT(error_with(tiny, "model.layers.1.post_attention_layernorm.weight", 3e38f),
              HasSubstr("first tensor that is not finite: layer1."));
}

TEST(TrainerFailure, SaysWhenThereIsNoCheckpointYet) {
  const TinyRun tiny;
  Trainer trainer(tiny.recipe(), tiny.options("run"));
  Tensor alias = trainer.model().parameters()[0].value;
  alias.mutable_data<float>()[0] = std::numeric_limits<float>::infinity();
  for (int64_t i = 0; i < alias.numel(); ++i) {
    alias.mutable_data<float>()[i] = std::numeric_limits<float>::infinity();
  }
  try {
    trainer.step();
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("step 1: "));
    EXPECT_THAT(error.what(), HasSubstr("there is no checkpoint yet"));
  }
}

TEST(TrainerFailure, KeepsTheOldCheckpointWhenTheDiskIsFull) {
  const TinyRun tiny;
  TrainerOptions options = tiny.options("run");
  options.max_steps = 2;
  const TrainResult before = Trainer(tiny.recipe(), options).run();
  const std::string model = content_of(before.checkpoint / "model.safetensors");

  // The kernel refuses to let any file grow beyond this, as a full disk would.
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit old{};
  getrlimit(RLIMIT_FSIZE, &old);
  rlimit small = old;
  small.rlim_cur = 100'000;
  options.max_steps = 4;
  Trainer trainer(tiny.recipe(), options);
  setrlimit(RLIMIT_FSIZE, &small);
  EXPECT_THROW(trainer.run(), IoError);
  setrlimit(RLIMIT_FSIZE, &old);

  EXPECT_EQ(content_of(before.checkpoint / "model.safetensors"), model);
  for (const auto& entry : std::filesystem::directory_iterator(tiny.path() / "run")) {
    EXPECT_NE(entry.path().extension(), ".partial") << entry.path();
  }
  EXPECT_EQ(Trainer(tiny.recipe(), options).steps_done(), 2);
}

TEST(TrainerFailure, NamesWhatIsWrongWithABrokenCheckpoint) {
  const TinyRun tiny;
  TrainerOptions options = tiny.options("run");
  options.max_steps = 1;
  const auto checkpoint = Trainer(tiny.recipe(), options).run().checkpoint;
  const auto error_of = [&]() -> std::string {
    try {
      Trainer trainer(tiny.recipe(), options);
    } catch (const Error& error) {
      return error.what();
    }
    return "no Error";
  };
  const std::string state = content_of(checkpoint / "trainer_state.json");
  std::ofstream(checkpoint / "trainer_state.json") << state.substr(0, state.size() / 2);
  EXPECT_THAT(error_of(), HasSubstr("trainer_state.json"));
  std::ofstream(checkpoint / "trainer_state.json") << "{\"version\": 1}";
  EXPECT_THAT(error_of(), HasSubstr("not the state of a trainer"));
  std::ofstream(checkpoint / "trainer_state.json") << "{\"version\": 9}";
  EXPECT_THAT(error_of(), HasSubstr("version 9, needs 1"));
  std::ofstream(checkpoint / "trainer_state.json") << state;
  std::filesystem::resize_file(checkpoint / "optimizer.safetensors", 1000);
  EXPECT_THAT(error_of(), HasSubstr("optimizer.safetensors"));
  std::filesystem::remove(checkpoint / "optimizer.safetensors");
  EXPECT_THAT(error_of(), HasSubstr("optimizer.safetensors"));
}

TEST(TrainerFailure, RefusesATokenizerThatTheModelCannotHold) {
  const TinyRun tiny;
  const TrainResult first = Trainer(tiny.recipe(), tiny.options("first")).run();
  Recipe recipe = tiny.recipe();
  recipe.model.preset.clear();
  recipe.model.init_from = first.checkpoint.string();
  recipe.tokenizer.vocab_size = 400;
  EXPECT_THROW(Trainer(recipe, tiny.options("second")), UsageError);
  recipe = tiny.recipe();
  recipe.model.preset = "huge";
  EXPECT_THROW(Trainer(recipe, tiny.options("third")), UsageError);
  recipe = tiny.recipe();
  recipe.data[0].files = {"missing.jsonl"};
  EXPECT_THROW(Trainer(recipe, tiny.options("fourth")), IoError);
}

}  // namespace
}  // namespace corral::train
