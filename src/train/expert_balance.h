#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "model/forward.h"
#include "model/layer_spec.h"

namespace corral::train {

/// How evenly one layer's experts were used in one step.
struct LoadReport {
  double max_violation = 0;  // the busiest expert's load over the mean load, minus 1
  double entropy = 0;        // of the loads, divided by ln E: 1 when all are equal
  int64_t dead = 0;          // experts that nobody chose in the last kDeadSteps steps
};

/// Counts over the global batch what the routers choose and feeds it back as the load of the
/// auxiliary loss (ops/balance_loss): the only way of balancing whose result a Llama 4 checkpoint
/// can hold. Layers that run again in the backward pass see the fractions they saw the first time
/// and are not counted twice.
class ExpertBalance final : public model::LoadBalance {
 public:
  static constexpr int64_t kDeadSteps = 50;

  /// One entry a layer of the model; dense ones have no experts.
  ExpertBalance(const std::vector<model::LayerSpec>& layers, double coefficient);

  /// Forgets the counts of the last step; global_tokens: rows of the whole step that begins.
  void begin_step(int64_t global_tokens);
  /// Notes which experts stayed idle.
  void end_step();

  std::span<const double> load_fractions(int64_t layer, const ops::Routing& routing,
                                         bool again) override;
  double coefficient() const override { return coefficient_; }
  int64_t global_tokens() const override { return global_tokens_; }

  /// Of layers with experts, in order; after end_step().
  std::vector<LoadReport> reports() const;
  /// Tokens that each expert of each such layer got in this step.
  std::vector<std::vector<int64_t>> counts() const;

  /// For how many steps each expert has been idle: the only state that outlives a step.
  std::vector<std::vector<int64_t>> idle_steps() const;
  /// Throws CorruptFile when it is not of this model's form.
  void restore_idle_steps(const std::vector<std::vector<int64_t>>& idle);

 private:
  struct Layer {
    std::vector<int64_t> counts;
    std::vector<double> fractions;
    std::vector<int64_t> idle;
  };

  std::vector<Layer> layers_;
  double coefficient_;
  int64_t global_tokens_ = 1;
};

}  // namespace corral::train
