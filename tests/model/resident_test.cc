#include "model/resident.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "base/error.h"
#include "model/gguf_checkpoint.h"
#include "model/hf_checkpoint.h"
#include "model/quantize.h"
#include "model/tiny_model.h"
#include "ops/matmul/matmul.h"
#include "support/temp_dir.h"
#include "support/tensors.h"

namespace corral::model {
namespace {

using test::logits_of;

class Resident : public testing::Test {
 protected:
  void SetUp() override { save_hf(path, config, made.weights(), DType::kBF16); }

  test::TempDir dir;
  std::filesystem::path path = dir.path() / "m";
  DevicePtr device = test::test_device();
  Config config = test::tiny_config(false);
  TextModel made = test::tiny_model(config, device);
};

TEST_F(Resident, WeightsAreTheSameInMemoryOfTheProcess) {
  LoadedModel loaded = load_model(path, device);
  const Tensor mapped = logits_of(loaded.model);
  EXPECT_FALSE(loaded.model.weights().readout.data.storage()->writable());
  std::vector<int64_t> copied;
  make_resident(loaded, [&](int64_t bytes) { copied.push_back(bytes); });
  const TextWeights& weights = loaded.model.weights();
  for (const Tensor* tensor :
       {&weights.embedding, &weights.readout.data, &weights.layers[0].attention.q.data,
        &weights.layers[1].moe->router.data, &weights.layers[1].moe->shared.down.data,
        &weights.layers[1].moe->experts.up.data}) {
    EXPECT_TRUE(tensor->storage()->writable());
  }
  EXPECT_TRUE(std::is_sorted(copied.begin(), copied.end()));
  EXPECT_EQ(copied.back(), resident_bytes(weights));
  std::filesystem::remove_all(path);
  EXPECT_TRUE(test::same_bits(logits_of(loaded.model), mapped));
}

TEST_F(Resident, ViewsOfOneTensorStayViewsOfOne) {
  LoadedModel loaded = load_model(path, device);
  make_resident(loaded);
  const MlpWeights& experts = loaded.model.weights().layers[1].moe->experts;
  EXPECT_EQ(experts.gate.data.storage(), experts.up.data.storage());
  EXPECT_NE(experts.gate.data.storage(), experts.down.data.storage());
}

TEST_F(Resident, NothingIsCopiedThatDoesNotFit) {
  LoadedModel loaded = load_model(path, device);
  const int64_t needed = resident_bytes(loaded.model.weights());
  const auto fail = [](int64_t) { FAIL() << "copied"; };
  EXPECT_THAT([&] { make_resident(loaded, fail, needed - 1); },
              testing::ThrowsMessage<Error>(testing::HasSubstr("let them be mapped")));
  EXPECT_FALSE(loaded.model.weights().readout.data.storage()->writable());
  EXPECT_FALSE(fits_in_memory(loaded.model.weights(), needed - 1));
  EXPECT_TRUE(fits_in_memory(loaded.model.weights(), needed));
  EXPECT_TRUE(fits_in_memory(loaded.model.weights(), 0));  // nobody knows
  make_resident(loaded, {}, needed);
  EXPECT_TRUE(loaded.model.weights().readout.data.storage()->writable());
}

TEST_F(Resident, CodedExpertsComeAlong) {
  const auto coded = dir.path() / "coded";
  save_hf(coded, config, load_model(path, device).model.weights(),
          {.experts = ExpertCoding::kInt4});
  LoadedModel loaded = load_model(coded, device);
  const Tensor mapped = logits_of(loaded.model);
  make_resident(loaded);
  std::filesystem::remove_all(coded);
  EXPECT_TRUE(test::same_bits(logits_of(loaded.model), mapped));
}

class ResidentQ8 : public testing::Test {
 protected:
  LoadedModel loaded(bool tied) {
    Config config = test::tiny_config(false);
    config.hidden_size = 64;  // rows of whole blocks, and whole runs of 32 of them
    config.tie_word_embeddings = tied;
    const TextModel made = test::tiny_model(config, device);
    save_gguf(path, config, made.weights(), nullptr, {.dtype = DType::kQ8_0});
    return load_model(path, device);
  }

  test::TempDir dir;
  std::filesystem::path path = dir.path() / "m.gguf";
  DevicePtr device = test::test_device();
};

TEST_F(ResidentQ8, RowsAreInterleavedWhereThatIsFasterAndGiveTheSame) {
  LoadedModel loaded = this->loaded(false);
  const Tensor mapped = logits_of(loaded.model);
  make_resident(loaded);
  const TextWeights& weights = loaded.model.weights();
  const quant::LinearWeight& up = weights.layers[1].moe->experts.up;
  EXPECT_EQ(up.data.dtype(), DType::kQ8_0);
  EXPECT_EQ(up.interleaving, ops::interleaving_of(device->isa(), DType::kQ8_0));
  EXPECT_FALSE(weights.layers[1].moe->router.interleaving);
  std::filesystem::remove(path);
  EXPECT_TRUE(test::same_bits(logits_of(loaded.model), mapped));
}

TEST_F(ResidentQ8, RowsThatTheEmbeddingReadsStayRows) {
  LoadedModel loaded = this->loaded(true);
  const Tensor mapped = logits_of(loaded.model);
  make_resident(loaded);
  const TextWeights& weights = loaded.model.weights();
  EXPECT_FALSE(weights.readout.interleaving);
  EXPECT_EQ(weights.readout.data.storage(), weights.embedding.storage());
  EXPECT_TRUE(test::same_bits(logits_of(loaded.model), mapped));
}

}  // namespace
}  // namespace corral::model
