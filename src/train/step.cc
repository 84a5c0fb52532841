#include "train/step.h"

#include <algorithm>
#include <cmath>

#include "autograd/tape.h"
#include "base/error.h"
#include "ops/cross_entropy/cross_entropy.h"

namespace corral::train {
namespace {

bool is_finite(const Tensor& x) {
  if (x.dtype() != DType::kF32) return true;
  const auto values = x.values<float>();
  return std::all_of(values.begin(), values.end(), [](float v) { return std::isfinite(v); });
}

/// Remembers the first activation that is not finite.
class FiniteObserver final : public model::Observer {
 public:
  void activation(const std::string& name, const Tensor& x) override { check(name, x); }
  void routed(int64_t layer, const Tensor& logits_TE, const ops::Routing&) override {
    check(str("layer", layer, ".router"), logits_TE);
  }
  const std::string& first() const { return first_; }

 private:
  void check(const std::string& name, const Tensor& x) {
    if (first_.empty() && !is_finite(x)) first_ = name;
  }
  std::string first_;
};

ops::CrossEntropy loss_of(const model::TextModel& model, const data::TrainingBatch& batch,
                          const model::ForwardOptions& options, int64_t supervised, double z_loss) {
  const Tensor hidden_TD = model.hidden(batch.batch, options);
  return ops::cross_entropy(hidden_TD, model.weights().readout, batch.targets,
                            static_cast<double>(supervised), options.precision,
                            static_cast<float>(z_loss));
}

}  // namespace

StepLoss accumulate_gradients(const model::TextModel& model,
                              std::span<const data::TrainingBatch> micro_batches,
                              const model::ForwardOptions& options, double z_loss) {
  StepLoss total;
  for (const data::TrainingBatch& batch : micro_batches) total.supervised += batch.supervised;
  if (total.supervised == 0) {
    throw UsageError("no token of this step is supervised: the batch is too small for the data");
  }
  double nll_sum = 0;
  for (const data::TrainingBatch& batch : micro_batches) {
    std::string complaint;
    try {
      const ops::CrossEntropy result = loss_of(model, batch, options, total.supervised, z_loss);
      nll_sum += result.nll_sum;
      total.z_loss += result.z_loss;
      const float loss = result.loss.values<float>()[0];
      if (std::isfinite(loss) && std::isfinite(result.nll_sum)) {
        autograd::backward(result.loss);
        continue;
      }
      complaint = str("the loss is ", loss);
    } catch (const Error& error) {
      // A router refuses to choose by NaN before there is a loss.
      complaint = error.what();
      if (find_not_finite(model, batch.batch, options).empty()) throw;
    }
    const std::string tensor = find_not_finite(model, batch.batch, options);
    throw Error(
        str(complaint, "; first tensor that is not finite: ", tensor.empty() ? "logits" : tensor));
  }
  total.nll = nll_sum / static_cast<double>(total.supervised);
  return total;
}

std::string find_not_finite(const model::TextModel& model, const kv::Batch& batch,
                            const model::ForwardOptions& options) {
  for (const model::NamedParameter& parameter : model.parameters()) {
    if (!is_finite(parameter.value)) return parameter.name;
  }
  const autograd::NoGrad no_grad;
  FiniteObserver observer;
  model::ForwardOptions watched = options;
  watched.observer = &observer;
  watched.balance = nullptr;
  try {
    model.hidden(batch, watched);
  } catch (const Error&) {
    // What the observer saw before is the answer.
  }
  return observer.first();
}

}  // namespace corral::train
