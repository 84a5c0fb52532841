#include "train/validation.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"
#include "model/initialise.h"
#include "model/presets.h"
#include "ops/cross_entropy/cross_entropy.h"
#include "text/special_tokens.h"

namespace corral::train {
namespace {

std::shared_ptr<const text::Tokenizer> two_byte_tokenizer() {
  text::TokenizerSpec spec;
  for (int b = 0; b < 256; ++b) spec.tokens.emplace_back(1, static_cast<char>(b));
  spec.tokens.push_back("th");  // 256
  spec.pattern = "[\\s\\S]+";
  spec.specials["<|end_of_text|>"] = 257;
  return text::Tokenizer::create(spec);
}

data::TrainingBatch batch_of(const std::vector<int32_t>& tokens) {
  data::TrainingBatch batch;
  batch.batch.append({tokens.data(), tokens.size() - 1}, 0);
  batch.targets.assign(tokens.begin() + 1, tokens.end());
  batch.supervised = static_cast<int64_t>(tokens.size()) - 1;
  return batch;
}

TEST(Validate, GivesNatsATokenAndBitsAByteOfEverySetAndOfAll) {
  const auto tokenizer = two_byte_tokenizer();
  const DevicePtr device = Device::cpu({.threads = 1});
  model::Config config = model::find_preset("tiny").config;
  config.vocab_size = 258;
  const auto model = model::TextModel::trainable(config, model::initialise(config, 1, device));
  data::TrainingBatch masked = batch_of({5, 6, 256, 7});
  masked.targets[0] = data::kIgnored;
  masked.supervised = 2;
  const std::vector<ValidationSet> sets = {
      {"a", {batch_of({1, 2, 3, 256, 257}), masked}}, {"empty", {}}, {"b", {batch_of({9, 8})}}};
  const auto losses = validate(model, *tokenizer, sets, quant::Precision::kF32);
  ASSERT_EQ(losses.size(), 4u);

  double nll = 0;
  for (const auto& batch : sets[0].batches) {
    for (const float value : ops::token_nll(model.hidden(batch.batch), model.weights().readout,
                                            batch.targets, quant::Precision::kF32)) {
      nll += static_cast<double>(value);
    }
  }
  EXPECT_EQ(losses[0].tokens, 6);
  EXPECT_NEAR(losses[0].nll, nll / 6, 1e-9);
  // Targets 2, 3, "th" and "th", 7: seven bytes; the special token has none.
  EXPECT_NEAR(losses[0].bits_per_byte, nll / std::log(2) / 7, 1e-9);
  EXPECT_EQ(losses[1].tokens, 0);
  EXPECT_EQ(losses[1].nll, 0);
  EXPECT_EQ(losses[3].name, "all");
  EXPECT_EQ(losses[3].tokens, 7);
  EXPECT_NEAR(losses[3].nll, (nll + losses[2].nll) / 7, 1e-9);
}

}  // namespace
}  // namespace corral::train
