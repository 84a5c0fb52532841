#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "data/packing.h"
#include "model/text_model.h"
#include "train/adamw.h"
#include "train/checkpoint.h"
#include "train/expert_balance.h"
#include "train/metrics_log.h"
#include "train/prepare.h"
#include "train/recipe.h"
#include "train/run_report.h"

namespace corral::train {

/// Where and how long a recipe is run.
struct TrainerOptions {
  std::filesystem::path out;  // the run's folder
  DevicePtr device;
  bool resume = true;      // else what the folder holds of an earlier run is set aside
  int64_t max_steps = 0;   // stop (with a checkpoint) once this many steps are done; 0: never
  double max_minutes = 0;  // or after this time; 0: never
  const std::atomic<bool>* stop = nullptr;  // or after the step in which this becomes true
  RunLog log;
};

/// Why a run ended.
enum class RunEnd : uint8_t { kFinished, kStepLimit, kTimeLimit, kStopped };

struct TrainResult {
  RunEnd end = RunEnd::kFinished;
  int64_t step = 0;
  std::filesystem::path checkpoint;
};

/// Trains a language model as a recipe says, in a folder that afterwards holds recipe.toml (every
/// key written out), metrics.jsonl, checkpoints, and the tokenised data.
///
/// A run that is interrupted, however hard, continues from its newest checkpoint and then does the
/// same steps, bit for bit, as one that was not (same program, instruction set; any number of
/// threads). Steps, schedule, learning rate and intervals may be changed in between; data, model,
/// tokenizer, batch and seed may not.
class Trainer {
 public:
  /// Prepares everything and loads the newest checkpoint, if any. Throws UsageError when the folder
  /// holds a run of another recipe, and what reading the files throws.
  Trainer(const Recipe& recipe, const TrainerOptions& options);

  /// Trains until the end, a limit or a stop, and leaves a checkpoint of where it stands. Throws
  /// Error naming step and tensor when a loss or gradient is not finite, IoError when a checkpoint
  /// cannot be written; older checkpoints are then as they were.
  TrainResult run();

  /// Does one optimizer step, without validation and checkpoint.
  StepReport step();

  int64_t steps_done() const { return state_.step; }
  const model::TextModel& model() const { return model_; }
  const text::Tokenizer& tokenizer() const { return *prepared_.tokenizer; }

 private:
  void resume_from(const std::filesystem::path& checkpoint);
  void check_gradients(double norm, std::optional<size_t> not_finite) const;
  std::string last_checkpoint() const;
  std::filesystem::path save();
  void run_validation();
  bool checkpoint_due(Clock::time_point saved) const;
  std::optional<RunEnd> end_of_run(Clock::time_point begin) const;

  Recipe recipe_;
  TrainerOptions options_;
  CheckpointFolder checkpoints_;
  std::optional<std::filesystem::path> resumed_;
  PreparedRun prepared_;
  model::TextModel model_;
  Adamw optimizer_;
  ExpertBalance balance_;
  std::unique_ptr<data::PackedStream> stream_;
  std::unique_ptr<MetricsLog> metrics_;
  RunReport report_;
  TrainState state_;
};

}  // namespace corral::train
