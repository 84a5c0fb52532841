#pragma once

#include <array>
#include <limits>
#include <string_view>
#include <utility>

#include "train/recipe.h"

// The one list of a recipe's keys, with their ranges: reading, checking and writing walk it.

namespace corral::train {

template <class T>
struct Range {
  T least;
  T most;
};

inline constexpr int64_t kMostSteps = int64_t{1} << 40;
inline constexpr int64_t kMostTokens = int64_t{1} << 30;
inline constexpr double kAnyDouble = std::numeric_limits<double>::max();

template <class Enum, size_t N>
using Choices = std::array<std::pair<std::string_view, Enum>, N>;

inline constexpr Choices<quant::Precision, 2> kPrecisions = {
    {{"bf16", quant::Precision::kBF16}, {"f32", quant::Precision::kF32}}};
inline constexpr Choices<ScheduleKind, 3> kScheduleKinds = {
    {{"wsd", ScheduleKind::kWsd},
     {"cosine", ScheduleKind::kCosine},
     {"constant", ScheduleKind::kConstant}}};
inline constexpr Choices<DecayShape, 2> kDecayShapes = {
    {{"linear", DecayShape::kLinear}, {"1-sqrt", DecayShape::kOneMinusSqrt}}};
inline constexpr Choices<data::Supervise, 2> kSupervise = {
    {{"all", data::Supervise::kEverything}, {"assistant", data::Supervise::kAssistant}}};

template <class Visitor>
void visit_fields(Visitor& v, DataRecipe& r) {
  v.field("name", r.name);
  v.field("path", r.files);
  v.field("repeat", r.repeat, Range<double>{0, 1e6});
  v.field("weight", r.weight, Range<double>{0, 1e6});
  v.choice("supervise", r.supervise, kSupervise);
}

template <class Visitor>
void visit_fields(Visitor& v, ModelRecipe& r) {
  v.field("preset", r.preset);
  v.field("config", r.config);
  v.field("init_from", r.init_from);
}

template <class Visitor>
void visit_fields(Visitor& v, TokenizerRecipe& r) {
  v.field("path", r.path);
  v.field("vocab_size", r.vocab_size, Range<int64_t>{0, int64_t{1} << 24});
}

template <class Visitor>
void visit_fields(Visitor& v, BatchRecipe& r) {
  v.field("tokens", r.tokens, Range<int64_t>{1, kMostTokens});
  v.field("micro_batch_tokens", r.micro_batch_tokens, Range<int64_t>{1, kMostTokens});
  v.field("sequence_tokens", r.sequence_tokens, Range<int64_t>{1, kMostTokens});
  v.field("restart_positions", r.restart_positions);
}

template <class Visitor>
void visit_fields(Visitor& v, OptimizerRecipe& r) {
  v.field("learning_rate", r.learning_rate, Range<double>{1e-12, 10});
  v.field("beta1", r.adamw.beta1, Range<double>{0, 0.999999});
  v.field("beta2", r.adamw.beta2, Range<double>{0, 0.999999});
  v.field("epsilon", r.adamw.epsilon, Range<double>{1e-30, 1});
  v.field("weight_decay", r.adamw.weight_decay, Range<double>{0, 100});
  v.field("clip_norm", r.clip_norm, Range<double>{0, 1e9});
  v.field("z_loss", r.z_loss, Range<double>{0, 1});
  v.field("embedding_rate", r.embedding_rate, Range<double>{0, 1e6});
  v.field("readout_rate", r.readout_rate, Range<double>{0, 1e6});
  v.field("router_rate", r.router_rate, Range<double>{0, 1e6});
  v.field("norm_rate", r.norm_rate, Range<double>{0, 1e6});
}

template <class Visitor>
void visit_fields(Visitor& v, ScheduleOptions& r) {
  v.choice("kind", r.kind, kScheduleKinds);
  v.field("warmup_steps", r.warmup_steps, Range<int64_t>{0, kMostSteps});
  v.field("decay_fraction", r.decay_fraction, Range<double>{0, 1});
  v.choice("decay", r.decay, kDecayShapes);
  v.field("final_fraction", r.final_fraction, Range<double>{0, 1});
}

template <class Visitor>
void visit_fields(Visitor& v, CheckpointRecipe& r) {
  v.field("every_steps", r.every_steps, Range<int64_t>{0, kMostSteps});
  v.field("every_minutes", r.every_minutes, Range<double>{0, 1e6});
  v.field("keep", r.keep, Range<int64_t>{1, 1'000'000});
}

template <class Visitor>
void visit_fields(Visitor& v, ValidationRecipe& r) {
  v.field("every_steps", r.every_steps, Range<int64_t>{0, kMostSteps});
  v.field("tokens", r.tokens, Range<int64_t>{1, kMostTokens});
  v.tables("data", r.data);
}

/// [balance], whose two values stand in the recipe itself.
struct BalanceFields {
  double& coefficient;
  int64_t& experts_every;
};

template <class Visitor>
void visit_fields(Visitor& v, BalanceFields& r) {
  v.field("coefficient", r.coefficient, Range<double>{0, 1e3});
  v.field("experts_every", r.experts_every, Range<int64_t>{1, kMostSteps});
}

template <class Visitor>
void visit_fields(Visitor& v, Recipe& r) {
  v.field("name", r.name);
  v.field("objective", r.objective);
  v.field("seed", r.seed);
  v.field("steps", r.steps, Range<int64_t>{1, kMostSteps});
  v.choice("precision", r.precision, kPrecisions);
  v.field("recompute", r.recompute);
  v.field("data_root", r.data_root);
  v.table("model", r.model);
  v.table("tokenizer", r.tokenizer);
  v.table("batch", r.batch);
  v.table("optimizer", r.optimizer);
  v.table("schedule", r.schedule);
  BalanceFields balance{r.balance_coefficient, r.experts_every};
  v.table("balance", balance);
  v.table("checkpoint", r.checkpoint);
  v.tables("data", r.data);
  v.table("validation", r.validation);
}

}  // namespace corral::train
