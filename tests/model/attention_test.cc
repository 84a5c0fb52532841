#include "model/attention.h"

#include <gtest/gtest.h>

#include "model/feed_forward.h"
#include "model/tiny_model.h"
#include "support/tensors.h"

namespace corral::model {
namespace {

using test::max_difference;

class AttentionLayer : public ::testing::Test {
 protected:
  static constexpr int64_t kTokens = 40;
  DevicePtr device = Device::cpu();
  Config config = test::tiny_config();
  TextModel model = test::tiny_model(config, device);
  std::vector<LayerSpec> specs = layer_specs(config);
  ops::RopeFrequencies rope =
      ops::rope_frequencies(config.head_dim, config.rope_theta, rope_scaling(config));
  Tensor x_TD = test::randn({kTokens, config.hidden_size}, 5, device);

  Tensor run(const AttentionSpec& spec, const AttentionWeights& weights, int64_t first = 0) {
    kv::Batch batch;
    batch.append(std::vector<int32_t>(kTokens, 0), first);
    return attention(x_TD, spec, weights, rope, batch, 0, {});
  }
  // The weights of a layer with the rows of one query head multiplied.
  AttentionWeights with_scaled_head(int64_t layer, int64_t head, float factor) {
    AttentionWeights weights = model.weights().layers[static_cast<size_t>(layer)].attention;
    Tensor q = weights.q.data.clone();
    auto* values = q.mutable_data<float>();
    const int64_t rows = config.head_dim * config.hidden_size;
    for (int64_t i = head * rows; i < (head + 1) * rows; ++i) values[i] *= factor;
    weights.q = quant::LinearWeight::out_in(q);
    return weights;
  }
};

// A norm over all heads together would let one loud head silence the others.
TEST_F(AttentionLayer, NormalisesEachHeadOfTheQueriesOnItsOwn_FactsRow1) {
  const AttentionSpec& spec = specs[0].attention;
  ASSERT_TRUE(spec.qk_norm);
  const Tensor plain = run(spec, with_scaled_head(0, 0, 1));
  EXPECT_LE(max_difference(run(spec, with_scaled_head(0, 0, 64)), plain), 1e-4);
  // Without the norm the head's scale is seen: the test can fail.
  AttentionSpec without = spec;
  without.qk_norm = false;
  EXPECT_GE(max_difference(run(without, with_scaled_head(0, 0, 64)),
                           run(without, with_scaled_head(0, 0, 1))),
            1e-2);
}

TEST_F(AttentionLayer, TakesTheEpsilonOfTheConfigInTheQkNorm_FactsRow2) {
  AttentionSpec spec = specs[0].attention;
  const AttentionWeights quiet = with_scaled_head(0, 0, 1e-3f);
  const Tensor config_eps = run(spec, quiet);
  spec.norm_eps = 1e-6;
  EXPECT_GE(max_difference(run(spec, quiet), config_eps), 1e-3);
}

TEST_F(AttentionLayer, NeitherRotatesNorNormalisesGlobalLayers_FactsRows4And7) {
  const AttentionSpec& global = specs[3].attention;
  ASSERT_FALSE(global.rope);
  ASSERT_FALSE(global.qk_norm);
  EXPECT_EQ(global.chunk_size, 0);
  // Without positions, and before the first temperature step, where the sequence begins is not
  // seen.
  AttentionSpec spec = global;
  spec.temperature.reset();
  const AttentionWeights& weights = model.weights().layers[3].attention;
  EXPECT_EQ(max_difference(run(spec, weights, 0), run(spec, weights, 5)), 0);
  // In a chunked layer it is: the chunks' borders move.
  const AttentionWeights& local = model.weights().layers[0].attention;
  EXPECT_GT(max_difference(run(specs[0].attention, local, 0), run(specs[0].attention, local, 5)),
            1e-3);
}

TEST_F(AttentionLayer, SharpensOnlyGlobalLayersFromTheFloorOn_FactsRow13) {
  const AttentionWeights& weights = model.weights().layers[3].attention;
  const AttentionSpec with = specs[3].attention;
  AttentionSpec without = with;
  without.temperature.reset();
  const Tensor a = run(with, weights);
  const Tensor b = run(without, weights);
  const int64_t D = config.hidden_size;
  // floor_scale 8: positions 0 to 6 are as without, position 7 is the first that is scaled.
  EXPECT_EQ(max_difference(a.rows(0, 7), b.rows(0, 7)), 0);
  EXPECT_GT(max_difference(a.rows(7, 8), b.rows(7, 8)), 0);
  EXPECT_EQ(a.dim(1), D);
  for (const LayerSpec& spec : specs) {
    EXPECT_EQ(spec.attention.temperature.has_value(), !spec.attention.rope);
  }
}

TEST_F(AttentionLayer, SeesOneKeyAtTheStartOfAChunk_FactsRow9) {
  // The first token of a chunk attends to itself alone: its output is its own value, whatever came
  // before.
  const AttentionSpec& spec = specs[0].attention;
  const AttentionWeights& weights = model.weights().layers[0].attention;
  const Tensor whole = run(spec, weights);
  Tensor other = x_TD.clone();
  for (int64_t i = 0; i < 16 * config.hidden_size; ++i) other.mutable_data<float>()[i] += 1;
  x_TD = other;
  const Tensor changed = run(spec, weights);
  EXPECT_EQ(max_difference(whole.rows(16, kTokens), changed.rows(16, kTokens)), 0);
  EXPECT_GT(max_difference(whole.rows(15, 16), changed.rows(15, 16)), 0);
}

TEST(MixtureOfExperts, RunsTheSharedExpertOnTheSameInput_FactsRow17) {
  const auto device = Device::cpu();
  const Config config = test::tiny_config();
  const TextModel model = test::tiny_model(config, device);
  const LayerSpec spec = layer_specs(config)[0];
  const MoeWeights& weights = *model.weights().layers[0].moe;
  const Tensor x = test::randn({33, config.hidden_size}, 3, device);
  const Tensor before = x.clone();
  const Tensor all = mixture_of_experts(x, spec, weights, 0, {}, false);
  EXPECT_EQ(max_difference(x, before), 0);
  // Silencing the routed experts leaves exactly the shared one.
  MoeWeights silent = weights;
  silent.experts.down = quant::LinearWeight::out_in(
      Tensor::zeros({config.num_local_experts, config.hidden_size, config.intermediate_size},
                    DType::kF32, device));
  EXPECT_EQ(
      max_difference(mixture_of_experts(x, spec, silent, 0, {}, false), mlp(x, weights.shared, {})),
      0);
  EXPECT_GT(max_difference(all, mlp(x, weights.shared, {})), 1e-4);
}

TEST(MixtureOfExperts, SupportsMoreThanOneExpertAToken_FactsRow18) {
  const auto device = Device::cpu();
  Config config = test::tiny_config();
  config.num_experts_per_tok = 2;
  const TextModel model = test::tiny_model(config, device);
  kv::Batch batch;
  batch.append(test::some_tokens(30, config.vocab_size), 0);
  const Tensor two = model.hidden(batch);
  config.num_experts_per_tok = 1;
  const TextModel one = test::tiny_model(config, device);
  EXPECT_GT(max_difference(two, one.hidden(batch)), 1e-4);
}

}  // namespace
}  // namespace corral::model
