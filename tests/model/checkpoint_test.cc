#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "base/error.h"
#include "base/file.h"
#include "io/gguf.h"
#include "io/safetensors.h"
#include "model/gguf_checkpoint.h"
#include "model/hf_checkpoint.h"
#include "model/loaded_model.h"
#include "model/tiny_model.h"
#include "support/temp_dir.h"
#include "support/tensors.h"
#include "text/tokenizer_files.h"

namespace corral::model {
namespace {

using test::logits_of;
using test::same_bits;
using ::testing::HasSubstr;

double mean_difference(const Tensor& a, const Tensor& b) {
  double sum = 0;
  for (int64_t i = 0; i < a.numel(); ++i) {
    sum +=
        std::abs(static_cast<double>(a.data<float>()[i]) - static_cast<double>(b.data<float>()[i]));
  }
  return sum / static_cast<double>(a.numel());
}

class Checkpoint : public ::testing::TestWithParam<bool> {
 protected:
  test::TempDir dir;
  DevicePtr device = Device::cpu();
  Config config = test::tiny_config(GetParam());
  TextModel model = test::tiny_model(config, device);
};

TEST_P(Checkpoint, InHuggingFaceFormGivesTheSameBits) {
  for (const bool multimodal : {false, true}) {
    Config layout = config;
    layout.multimodal_layout = multimodal;
    const auto path = dir.path() / (multimodal ? "multimodal" : "flat");
    save_hf(path, layout, model.weights(), DType::kF32);
    const LoadedModel loaded = load_model(path, device);
    EXPECT_EQ(loaded.model.config(), layout);
    EXPECT_TRUE(same_bits(logits_of(loaded.model), logits_of(model)));
  }
}

TEST_P(Checkpoint, InSeveralShardsGivesTheSameBits) {
  save_hf(dir.path() / "sharded", config, model.weights(), DType::kF32, 100000);
  EXPECT_TRUE(std::filesystem::exists(dir.path() / "sharded/model.safetensors.index.json"));
  EXPECT_TRUE(
      same_bits(logits_of(load_model(dir.path() / "sharded", device).model), logits_of(model)));
}

TEST_P(Checkpoint, ThroughGgufAndBackGivesTheSameBits_FactsRows6And20) {
  save_gguf(dir.path() / "m.gguf", config, model.weights(), nullptr, {.dtype = DType::kF32});
  const LoadedModel gguf = load_model(dir.path() / "m.gguf", device);
  EXPECT_EQ(gguf.model.config().no_rope_layers, config.no_rope_layers);
  EXPECT_EQ(gguf.model.config().moe_layers, config.moe_layers);
  EXPECT_EQ(gguf.model.config().attention_chunk_size, config.attention_chunk_size);
  EXPECT_EQ(gguf.model.config().rope_scaling, config.rope_scaling);
  EXPECT_TRUE(same_bits(logits_of(gguf.model), logits_of(model)));

  save_hf(dir.path() / "a", config, model.weights(), DType::kF32);
  save_hf(dir.path() / "b", config, gguf.model.weights(), DType::kF32);
  EXPECT_EQ(read_file(dir.path() / "a/model.safetensors"),
            read_file(dir.path() / "b/model.safetensors"));
}

TEST_P(Checkpoint, InSmallerTypesStaysClose) {
  const Tensor exact = logits_of(model);
  const std::vector<std::pair<DType, double>> bounds = {
      {DType::kF16, 1e-3}, {DType::kBF16, 8e-3}, {DType::kQ8_0, 2e-2}};
  for (const auto& [dtype, bound] : bounds) {
    save_gguf(dir.path() / "m.gguf", config, model.weights(), nullptr, {.dtype = dtype});
    const LoadedModel loaded = load_model(dir.path() / "m.gguf", device);
    EXPECT_LE(mean_difference(logits_of(loaded.model), exact), bound) << dtype;
  }
}

TEST_P(Checkpoint, KeepsRowsThatAreNoWholeBlocksAsBf16) {
  save_gguf(dir.path() / "m.gguf", config, model.weights(), nullptr, {.dtype = DType::kQ8_0});
  const io::GgufFile file(dir.path() / "m.gguf");
  EXPECT_EQ(file.info("blk.0.attn_q.weight").dtype, DType::kBF16);         // 80 columns
  EXPECT_EQ(file.info("blk.1.ffn_down_exps.weight").dtype, DType::kQ8_0);  // 128
  EXPECT_EQ(file.info("blk.1.ffn_gate_inp.weight").dtype, DType::kF32);
  EXPECT_EQ(file.info("blk.1.ffn_norm.weight").dtype, DType::kF32);
}

INSTANTIATE_TEST_SUITE_P(Family, Checkpoint, ::testing::Values(true, false),
                         [](const auto& param) { return param.param ? "Scout" : "Maverick"; });

TEST(GgufTokenizer, SurvivesTheFile) {
  const test::TempDir dir;
  const auto device = Device::cpu();
  const Config config = test::tiny_config();
  const TextModel model = test::tiny_model(config, device);
  const auto tokenizer = test::byte_tokenizer();
  save_gguf(dir.path() / "m.gguf", config, model.weights(), tokenizer.get(), {});
  const LoadedModel loaded = load_model(dir.path() / "m.gguf", device);
  ASSERT_TRUE(loaded.tokenizer);
  const std::string text = "It's 2026: na\xC3\xAFve \xE2\x82\xAC \xFF\x00 end";
  EXPECT_EQ(loaded.tokenizer->encode(text), tokenizer->encode(text));
  EXPECT_EQ(loaded.tokenizer->eot_id(), tokenizer->eot_id());
  EXPECT_EQ(loaded.tokenizer->vocab_size(), tokenizer->vocab_size());
}

class DamagedCheckpoint : public ::testing::Test {
 protected:
  void SetUp() override { save_hf(dir.path() / "m", config, model.weights(), DType::kF32); }
  std::string message() {
    try {
      load_model(dir.path() / "m", device);
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  }
  test::TempDir dir;
  DevicePtr device = Device::cpu();
  Config config = test::tiny_config();
  TextModel model = test::tiny_model(config, device);
};

TEST_F(DamagedCheckpoint, NamesAMissingShard) {
  save_hf(dir.path() / "m", config, model.weights(), DType::kF32, 100000);
  for (const auto& entry : std::filesystem::directory_iterator(dir.path() / "m")) {
    if (entry.path().filename().string().starts_with("model-00002")) {
      std::filesystem::remove(entry.path());
      break;
    }
  }
  EXPECT_THAT(message(), HasSubstr("model-00002"));
}

TEST_F(DamagedCheckpoint, NamesATensorThatIsMissing) {
  Config deeper = config;
  deeper.num_hidden_layers = 5;
  deeper.no_rope_layers.clear();
  deeper.moe_layers.clear();
  deeper.normalise();
  write_file_atomically(dir.path() / "m/config.json", config_json(deeper));
  EXPECT_THAT(message(), HasSubstr("model.layers.4."));
}

TEST_F(DamagedCheckpoint, NamesATensorOfTheWrongShape) {
  Config wider = config;
  wider.vocab_size = 321;
  write_file_atomically(dir.path() / "m/config.json", config_json(wider));
  EXPECT_THAT(message(), HasSubstr("embed_tokens.weight is [320, 80], the config needs [321, 80]"));
}

TEST_F(DamagedCheckpoint, SaysWhatIsNotThere) {
  std::filesystem::remove(dir.path() / "m/config.json");
  EXPECT_THAT(message(), HasSubstr("config.json"));
}

TEST_F(DamagedCheckpoint, RefusesATokenizerLargerThanTheModel) {
  Config smaller = config;
  smaller.vocab_size = 100;
  const TextModel small = test::tiny_model(smaller, device);
  save_hf(dir.path() / "m", smaller, small.weights(), DType::kF32);
  text::save_tokenizer(*test::byte_tokenizer(), dir.path() / "m");
  EXPECT_THAT(message(), HasSubstr("the tokenizer has 264 tokens, the model only 100"));
}

}  // namespace
}  // namespace corral::model
