#include <memory>

#include "base/error.h"
#include "cli/commands.h"
#include "cli/common.h"
#include "cli/interrupt.h"
#include "train/trainer.h"

namespace corral::cli {
namespace {

struct TrainOptions {
  std::string recipe;
  std::string out;
  std::string data_root;
  int64_t max_steps = 0;
  double max_minutes = 0;
  bool no_resume = false;
  MachineOptions machine;
};

const char* describe(train::RunEnd end) {
  switch (end) {
    case train::RunEnd::kFinished:
      return "finished";
    case train::RunEnd::kStepLimit:
      return "stopped at --max-steps";
    case train::RunEnd::kTimeLimit:
      return "stopped at --max-minutes";
    case train::RunEnd::kStopped:
      break;
  }
  return "interrupted";
}

void run_train(const TrainOptions& options, Io& io) {
  train::Recipe recipe = train::read_recipe(options.recipe);
  if (!options.data_root.empty()) {
    recipe.data_root = std::filesystem::absolute(options.data_root).string();
  }
  const Interrupt interrupt;
  train::TrainerOptions trainer;
  trainer.out = options.out.empty() ? std::filesystem::path("runs") / recipe.name
                                    : std::filesystem::path(options.out);
  trainer.device = options.machine.device();
  trainer.resume = !options.no_resume;
  trainer.max_steps = options.max_steps;
  trainer.max_minutes = options.max_minutes;
  trainer.stop = &interrupt.flag();
  trainer.log = {&io.err, io.terminal};
  const train::TrainResult result = train::Trainer(recipe, trainer).run();
  io.out << describe(result.end) << " after step " << result.step << " of " << recipe.steps << ": "
         << result.checkpoint.string() << '\n';
  if (result.end != train::RunEnd::kFinished) {
    io.err << "the same command goes on from there" << std::endl;
  }
}

}  // namespace

void add_train_command(CLI::App& app, Io& io) {
  auto options = std::make_shared<TrainOptions>();
  CLI::App* command = app.add_subcommand("train", "trains a model as a recipe says");
  command->add_option("recipe", options->recipe, "TOML file (docs/formats/recipe.md)")->required();
  command->add_option("--out", options->out,
                      "folder of the run, default runs/NAME; goes on if it holds checkpoints");
  command->add_option("--data-root", options->data_root,
                      "where relative data paths begin, instead of what the recipe says");
  command
      ->add_option("--max-steps", options->max_steps,
                   "stop with a checkpoint when this many steps of the run are done")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 40));
  command
      ->add_option("--max-minutes", options->max_minutes, "stop with a checkpoint after this time")
      ->check(CLI::Range(1e-3, 1e6));
  command->add_flag("--no-resume", options->no_resume,
                    "start over; an earlier run in the folder is set aside");
  options->machine.add_to(*command);
  command->footer(
      "Ctrl-C ends the step, writes a checkpoint and exits.\n"
      "Examples:\n"
      "  corral train recipes/tiny.toml --out runs/tiny\n"
      "  corral run runs/tiny/latest -p \"Once upon a time\"\n"
      "  corral plot runs/tiny");
  command->callback([options, &io] { run_train(*options, io); });
}

}  // namespace corral::cli
