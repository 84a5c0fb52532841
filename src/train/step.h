#pragma once

#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>

#include "data/packing.h"
#include "model/text_model.h"

namespace corral::train {

/// What the micro-batches of one step cost together.
struct StepLoss {
  double nll = 0;          // mean of -ln p over all supervised tokens, in nats
  double z_loss = 0;       // the part of the loss that is not cross-entropy
  int64_t supervised = 0;  // tokens with a target
};

/// Runs the micro-batches of one step forward and backward and leaves the sum of their gradients on
/// the model's leaves. Every loss is divided by the number of supervised tokens of the whole step,
/// counted before the first micro-batch, so the gradient is that of one big batch however it is
/// cut. Throws UsageError when no token is supervised, Error naming micro-batch and tensor as soon
/// as a loss is not finite (see find_not_finite()).
StepLoss accumulate_gradients(const model::TextModel& model,
                              std::span<const data::TrainingBatch> micro_batches,
                              const model::ForwardOptions& options, double z_loss);

/// The name of the first parameter, else of the first activation of this batch, that holds a NaN or
/// an infinity; empty when there is none.
std::string find_not_finite(const model::TextModel& model, const kv::Batch& batch,
                            const model::ForwardOptions& options);

}  // namespace corral::train
