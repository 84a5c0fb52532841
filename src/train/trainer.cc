#include "train/trainer.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "autograd/tape.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "tensor/peak.h"
#include "train/clip.h"
#include "train/schedule.h"
#include "train/step.h"

namespace corral::train {
namespace {

double rate_of(const OptimizerRecipe& recipe, model::Role role) {
  switch (role) {
    case model::Role::kEmbedding:
      return recipe.embedding_rate;
    case model::Role::kReadout:
      return recipe.readout_rate;
    case model::Role::kRouter:
      return recipe.router_rate;
    case model::Role::kNorm:
      return recipe.norm_rate;
    default:
      return 1;
  }
}

std::vector<OptimizedTensor> optimized(const model::TextModel& model,
                                       const OptimizerRecipe& recipe) {
  std::vector<OptimizedTensor> tensors;
  for (const model::NamedParameter& parameter : model.parameters()) {
    tensors.push_back(
        {parameter.name, parameter.value, parameter.decay, rate_of(recipe, parameter.role)});
  }
  return tensors;
}

/// Multiplications and additions for one token forward and backward: six a parameter that it meets.
/// The embedding is looked up, not multiplied with.
double flops_per_token(const model::Config& config) {
  const int64_t looked_up = config.vocab_size * config.hidden_size;
  return 6.0 * static_cast<double>(model::count_parameters(config).active - looked_up);
}

/// Finds the checkpoint to go on from, or clears the folder for a new run.
std::optional<std::filesystem::path> checkpoint_to_resume(const CheckpointFolder& folder,
                                                          const TrainerOptions& options) {
  if (options.resume) return folder.latest();
  const std::filesystem::path aside = folder.set_aside();
  if (!aside.empty()) options.log.note("the earlier run is now in " + aside.string());
  return std::nullopt;
}

void check_identity(const TrainState& state, const PreparedRun& run,
                    const std::filesystem::path& checkpoint) {
  for (const auto& [what, hash] : run.identity) {
    const auto before = state.identity.find(what);
    if (before != state.identity.end() && before->second == hash) continue;
    throw UsageError(str("the run in ", checkpoint.parent_path().string(), " began with another ",
                         what, ": choose another --out, or start over with --no-resume"));
  }
}

}  // namespace

Trainer::Trainer(const Recipe& recipe, const TrainerOptions& options)
    : recipe_(recipe),
      options_(options),
      checkpoints_(options.out),
      resumed_(checkpoint_to_resume(checkpoints_, options)),
      prepared_(prepare(recipe, options.out, options.device, options.log)),
      model_(make_model(recipe, prepared_.config, resumed_.value_or(""), options.device)),
      optimizer_(optimized(model_, recipe.optimizer), recipe.optimizer.adamw),
      balance_(model_.layers(), recipe.balance_coefficient),
      report_(flops_per_token(prepared_.config),
              measure_peak(*options.device, recipe.precision == quant::Precision::kBF16
                                                ? Arithmetic::kBF16
                                                : Arithmetic::kF32)) {
  state_.identity = prepared_.identity;
  if (resumed_) resume_from(*resumed_);
  const data::PackOptions packing{recipe_.batch.sequence_tokens, recipe_.batch.restart_positions};
  stream_ = std::make_unique<data::PackedStream>(*prepared_.mixture, packing, state_.cursor);
  metrics_ = std::make_unique<MetricsLog>(options_.out / "metrics.jsonl", state_.metrics_bytes);
  write_file_atomically(options_.out / "recipe.toml", to_toml(recipe_));
}

void Trainer::resume_from(const std::filesystem::path& checkpoint) {
  TrainState state = read_state(checkpoint);
  check_identity(state, prepared_, checkpoint);
  load_optimizer(checkpoint, state.step, optimizer_);
  balance_.restore_idle_steps(state.idle_steps);
  state_ = std::move(state);
  options_.log.note(str("resuming at step ", state_.step, " from ", checkpoint.string()));
}

std::string Trainer::last_checkpoint() const {
  const auto latest = checkpoints_.latest();
  return latest ? "the last checkpoint is " + latest->string() : "there is no checkpoint yet";
}

void Trainer::check_gradients(double norm, std::optional<size_t> not_finite) const {
  if (!not_finite && std::isfinite(norm)) return;
  throw Error(
      str("the gradient of ", model_.parameters()[not_finite.value_or(0)].name, " is not finite"));
}

StepReport Trainer::step() {
  const auto begin = Clock::now();
  StepReport report;
  report.step = state_.step + 1;
  report.step_rows = recipe_.batch.tokens;
  std::vector<data::TrainingBatch> micro_batches;
  for (int64_t left = recipe_.batch.tokens; left > 0;) {
    const int64_t rows = std::min(left, recipe_.batch.micro_batch_tokens);
    micro_batches.push_back(stream_->next(rows));
    left -= rows;
  }
  balance_.begin_step(recipe_.batch.tokens);
  model::ForwardOptions forward;
  forward.precision = recipe_.precision;
  forward.recompute = recipe_.recompute;
  forward.balance = &balance_;
  try {
    const StepLoss loss =
        accumulate_gradients(model_, micro_batches, forward, recipe_.optimizer.z_loss);
    report.loss = loss.nll;
    report.z_loss = loss.z_loss;
    std::vector<Tensor> gradients;
    for (const auto& parameter : model_.parameters()) {
      gradients.push_back(autograd::gradient(parameter.value));
    }
    const GradientNorm norm = gradient_norm(gradients);
    check_gradients(norm.norm, norm.not_finite);
    report.gradient_norm = norm.norm;
  } catch (const UsageError&) {
    throw;
  } catch (const Error& error) {
    throw Error(str("step ", report.step, ": ", error.what(), "; ", last_checkpoint()));
  }
  const double scale = clip_scale(report.gradient_norm, recipe_.optimizer.clip_norm);
  report.clipped = scale < 1;
  report.learning_rate =
      learning_rate(recipe_.schedule, recipe_.optimizer.learning_rate, state_.step, recipe_.steps);
  optimizer_.step(report.learning_rate, scale);
  for (const auto& parameter : model_.parameters()) autograd::clear_gradient(parameter.value);
  balance_.end_step();

  state_.step = report.step;
  state_.rows += recipe_.batch.tokens;
  state_.cursor = stream_->cursor();
  report.rows = state_.rows;
  report.epoch =
      static_cast<double>(state_.cursor.epoch) +
      static_cast<double>(state_.cursor.item) / static_cast<double>(prepared_.mixture->items());
  report.loads = balance_.reports();
  if (report.step % recipe_.experts_every == 0) report.expert_counts = balance_.counts();
  report.seconds = seconds_since(begin);
  return report;
}

void Trainer::run_validation() {
  const auto begin = Clock::now();
  const auto losses =
      validate(model_, *prepared_.tokenizer, prepared_.validation, recipe_.precision);
  metrics_->append(report_.metrics(state_.step, losses, seconds_since(begin)));
  report_.end_line(options_.log);
  options_.log.note(str("step ", state_.step, ": validation loss ", losses.back().nll, ", ",
                        losses.back().bits_per_byte, " bits a byte"));
}

std::filesystem::path Trainer::save() {
  metrics_->sync();
  state_.metrics_bytes = metrics_->size_bytes();
  state_.idle_steps = balance_.idle_steps();
  return checkpoints_.save(model_, *prepared_.tokenizer, optimizer_, state_,
                           recipe_.checkpoint.keep);
}

bool Trainer::checkpoint_due(Clock::time_point saved) const {
  const CheckpointRecipe& every = recipe_.checkpoint;
  return (every.every_steps > 0 && state_.step % every.every_steps == 0) ||
         (every.every_minutes > 0 && seconds_since(saved) >= 60 * every.every_minutes);
}

std::optional<RunEnd> Trainer::end_of_run(Clock::time_point begin) const {
  if (state_.step >= recipe_.steps) return RunEnd::kFinished;
  if (options_.stop != nullptr && options_.stop->load()) return RunEnd::kStopped;
  if (options_.max_steps > 0 && state_.step >= options_.max_steps) return RunEnd::kStepLimit;
  if (options_.max_minutes > 0 && seconds_since(begin) >= 60 * options_.max_minutes) {
    return RunEnd::kTimeLimit;
  }
  return std::nullopt;
}

TrainResult Trainer::run() {
  const auto begin = Clock::now();
  auto saved = begin;
  TrainResult result;
  result.checkpoint = resumed_.value_or("");
  int64_t saved_step = resumed_ ? state_.step : -1;
  std::optional<RunEnd> end = end_of_run(begin);
  while (!end) {
    const StepReport report = step();
    metrics_->append(report_.metrics(report));
    end = end_of_run(begin);
    report_.show(report, recipe_.steps, options_.log, end.has_value());
    const int64_t every = recipe_.validation.every_steps;
    const bool validation_due =
        every > 0 && (report.step % every == 0 || report.step == recipe_.steps);
    if (validation_due && !prepared_.validation.empty()) run_validation();
    if (!end && checkpoint_due(saved)) {
      result.checkpoint = save();
      saved_step = state_.step;
      saved = Clock::now();
    }
  }
  if (saved_step != state_.step) result.checkpoint = save();
  result.end = *end;
  result.step = state_.step;
  return result;
}

}  // namespace corral::train
