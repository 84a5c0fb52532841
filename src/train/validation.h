#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/packing.h"
#include "model/text_model.h"
#include "text/tokenizer.h"

namespace corral::train {

/// Held-out text, packed once.
struct ValidationSet {
  std::string name;
  std::vector<data::TrainingBatch> batches;
};

/// How well a model predicts one set (or all together).
struct ValidationLoss {
  std::string name;
  double nll = 0;            // nats a token
  double bits_per_byte = 0;  // bits a byte of text: comparable between vocabularies
  int64_t tokens = 0;
};

/// The loss of every set, and that of all tokens together as the last entry, named "all". Writes no
/// tape. Special tokens stand for no text: they count as tokens but not as bytes.
std::vector<ValidationLoss> validate(const model::TextModel& model,
                                     const text::Tokenizer& tokenizer,
                                     const std::vector<ValidationSet>& sets,
                                     quant::Precision precision);

}  // namespace corral::train
