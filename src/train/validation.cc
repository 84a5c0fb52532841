#include "train/validation.h"

#include <numbers>

#include "autograd/tape.h"
#include "ops/cross_entropy/cross_entropy.h"

namespace corral::train {
namespace {

struct Sums {
  double nll = 0;
  int64_t tokens = 0;
  int64_t bytes = 0;

  ValidationLoss result(std::string name) const {
    ValidationLoss loss{std::move(name), 0, 0, tokens};
    if (tokens > 0) loss.nll = nll / static_cast<double>(tokens);
    if (bytes > 0) loss.bits_per_byte = nll / std::numbers::ln2 / static_cast<double>(bytes);
    return loss;
  }
};

}  // namespace

std::vector<ValidationLoss> validate(const model::TextModel& model,
                                     const text::Tokenizer& tokenizer,
                                     const std::vector<ValidationSet>& sets,
                                     quant::Precision precision) {
  const autograd::NoGrad no_grad;
  model::ForwardOptions options;
  options.precision = precision;
  std::vector<ValidationLoss> results;
  Sums all;
  for (const ValidationSet& set : sets) {
    Sums sums;
    for (const data::TrainingBatch& batch : set.batches) {
      const Tensor hidden_TD = model.hidden(batch.batch, options);
      const std::vector<float> nll =
          ops::token_nll(hidden_TD, model.weights().readout, batch.targets, precision);
      for (size_t t = 0; t < nll.size(); ++t) {
        const int32_t target = batch.targets[t];
        if (target == data::kIgnored) continue;
        sums.nll += static_cast<double>(nll[t]);
        if (!tokenizer.is_special(target)) {
          sums.bytes += static_cast<int64_t>(tokenizer.token_bytes(target).size());
        }
      }
      sums.tokens += batch.supervised;
    }
    results.push_back(sums.result(set.name));
    all.nll += sums.nll;
    all.tokens += sums.tokens;
    all.bytes += sums.bytes;
  }
  results.push_back(all.result("all"));
  return results;
}

}  // namespace corral::train
