#include <gtest/gtest.h>

#include <map>

#include "kv/batch.h"
#include "model/tiny_model.h"
#include "support/tensors.h"

namespace corral::model {
namespace {

class InputRecorder final : public InputObserver {
 public:
  void input(std::span<const quant::LinearWeight* const> weights, const Tensor& x_NK,
             std::span<const int64_t> offsets_E) override {
    for (const quant::LinearWeight* weight : weights) {
      EXPECT_EQ(x_NK.dim(1), weight->in_features);
      EXPECT_EQ(std::ssize(offsets_E), weight->count > 1 ? weight->count + 1 : 0);
      EXPECT_EQ(rows.count(weight), 0u);
      rows[weight] = x_NK.dim(0);
      inputs[weight] = x_NK;
    }
  }
  std::map<const quant::LinearWeight*, int64_t> rows;
  std::map<const quant::LinearWeight*, Tensor> inputs;
};

TEST(InputObserver, SeesEveryWeightOnceWithTheRowsOfTheBatch) {
  const Config config = test::tiny_config(false);
  const TextModel model = test::tiny_model(config, test::test_device());
  const auto tokens = test::some_tokens(20, config.vocab_size);
  kv::Batch batch;
  batch.append(tokens, 0);
  InputRecorder recorder;
  ForwardOptions options;
  options.inputs = &recorder;
  const Tensor hidden = model.hidden(batch, options);
  model.logits(hidden, options);

  const TextWeights& weights = model.weights();
  size_t expected = 1;
  EXPECT_EQ(recorder.rows.at(&weights.readout), 20);
  EXPECT_TRUE(test::same_bits(recorder.inputs.at(&weights.readout), hidden));
  for (const LayerWeights& layer : weights.layers) {
    for (const auto* w :
         {&layer.attention.q, &layer.attention.k, &layer.attention.v, &layer.attention.o}) {
      EXPECT_EQ(recorder.rows.at(w), 20);
    }
    expected += 4;
    if (layer.moe) {
      EXPECT_EQ(recorder.rows.at(&layer.moe->router), 20);
      ++expected;
    }
    const auto mlps = layer.moe ? std::vector{&layer.moe->experts, &layer.moe->shared}
                                : std::vector{&*layer.dense};
    for (const MlpWeights* mlp : mlps) {
      for (const auto* w : {&mlp->gate, &mlp->up, &mlp->down}) EXPECT_EQ(recorder.rows.at(w), 20);
      expected += 3;
    }
  }
  EXPECT_EQ(recorder.rows.size(), expected);
}

}  // namespace
}  // namespace corral::model
