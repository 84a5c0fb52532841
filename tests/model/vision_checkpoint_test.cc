// Image towers in files: config.json, Hugging Face tensors, and llama.cpp's projector files.

#include "model/vision/vision_checkpoint.h"

#include <gmock/gmock.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "io/safetensors.h"
#include "model/gguf_checkpoint.h"
#include "model/hf_checkpoint.h"
#include "model/loaded_model.h"
#include "model/tiny_model.h"
#include "support/paths.h"
#include "support/temp_dir.h"
#include "support/tensors.h"

namespace corral::model {
namespace {

using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

// A text model as wide as the golden tower's projector.
Config text_config() {
  Config c = test::tiny_config();
  c.hidden_size = 64;
  return c;
}

class VisionCheckpoint : public ::testing::Test {
 protected:
  test::TempDir dir;
  DevicePtr device = Device::cpu();
  std::filesystem::path golden = test::data_dir() / "vision";
  VisionConfig vision = *vision_config(read_hf_config(golden), "config.json");
  VisionWeights weights = hf_vision_weights(*io::open_sharded(golden), vision, device);
  Config text = text_config();
  Tensor tile = test::randn({1, 3, vision.image_size, vision.image_size}, 1, device);

  Tensor encode(const LoadedModel& loaded) const { return loaded.need_vision()->encode(tile); }
  Tensor wanted() const { return VisionTower(vision, weights).encode(tile); }
  void save_text(const std::string& name) {
    const TextModel model = test::tiny_model(text, device);
    save_gguf(dir.path() / name, text, model.weights(), nullptr, {.dtype = DType::kF32});
  }
};

TEST_F(VisionCheckpoint, ReadsTheConfigOfTheReference) {
  EXPECT_EQ(vision.hidden_size, 32);
  EXPECT_EQ(vision.patches(), 16);
  EXPECT_EQ(vision.vectors_per_tile(), 4);
  EXPECT_EQ(vision.image_token, 505);
  EXPECT_EQ(vision.text_hidden_size, 64);
  Config again = text;
  again.vocab_size = 512;
  set_vision_config(again, vision);
  EXPECT_EQ(*vision_config(parse_config(config_json(again), "c"), "c"), vision);
}

TEST_F(VisionCheckpoint, ThroughAProjectorFileGivesTheSameBits) {
  save_text("m.gguf");
  save_mmproj(dir.path() / "mmproj-m.gguf", vision, hf_vision_tensors(vision, weights), DType::kF32,
              "eyes");
  const LoadedModel found = load_model(dir.path() / "m.gguf", device);
  EXPECT_TRUE(test::same_bits(encode(found), wanted()));
  VisionConfig read = found.vision->config();
  EXPECT_NEAR(read.norm_eps, vision.norm_eps, 1e-12);  // the file holds it in f32
  read.norm_eps = vision.norm_eps;
  read.image_token = vision.image_token;
  EXPECT_EQ(read, vision);
}

TEST_F(VisionCheckpoint, InSmallerTypesStaysClose) {
  save_text("m.gguf");
  const Tensor exact = wanted();
  for (const DType dtype : {DType::kF16, DType::kBF16, DType::kQ8_0}) {
    save_mmproj(dir.path() / "small.gguf", vision, hf_vision_tensors(vision, weights), dtype,
                "eyes");
    const LoadedModel loaded = load_model(dir.path() / "m.gguf", device, dir.path() / "small.gguf");
    const Tensor got = encode(loaded);
    double error = 0;
    double norm = 0;
    for (int64_t i = 0; i < exact.numel(); ++i) {
      const auto want = static_cast<double>(exact.data<float>()[i]);
      error += std::pow(static_cast<double>(got.data<float>()[i]) - want, 2);
      norm += want * want;
    }
    EXPECT_LE(std::sqrt(error / norm), 0.05) << dtype;
    EXPECT_GT(error, 0) << dtype;
  }
}

TEST_F(VisionCheckpoint, UsesLlamaCppsNames) {
  save_mmproj(dir.path() / "p.gguf", vision, hf_vision_tensors(vision, weights), DType::kF16,
              "eyes");
  const io::GgufFile file(dir.path() / "p.gguf");
  EXPECT_EQ(file.get_string("general.architecture"), "clip");
  EXPECT_EQ(file.get_string("clip.projector_type"), "llama4");
  EXPECT_TRUE(file.get_bool("clip.has_vision_encoder"));
  EXPECT_EQ(file.get_uint("clip.vision.projector.scale_factor"), 2);
  EXPECT_EQ(file.get_uint("clip.vision.projection_dim"), 64);
  EXPECT_EQ(file.get_floats("clip.vision.image_mean"), std::vector<float>(3, 0.5f));
  for (const char* name :
       {"v.class_embd", "v.patch_embd.weight", "v.position_embd.weight", "v.pre_ln.bias",
        "v.blk.2.attn_out.weight", "v.blk.0.ffn_up.bias", "v.blk.1.ln2.weight", "v.post_ln.weight",
        "mm.model.mlp.1.weight", "mm.model.mlp.2.weight", "mm.model.fc.weight"}) {
    EXPECT_TRUE(file.has(name)) << name;
  }
  EXPECT_EQ(file.info("v.position_embd.weight").dtype, DType::kF32);
  EXPECT_EQ(file.info("v.blk.0.attn_q.weight").dtype, DType::kF16);
}

TEST_F(VisionCheckpoint, FindsTheProjectorBesideTheModel) {
  const auto touch = [&](const char* name) { write_file_atomically(dir.path() / name, "x"); };
  const auto model = dir.path() / "scout.gguf";
  EXPECT_EQ(find_mmproj(model), "");
  touch("mmproj-F16.gguf");
  EXPECT_EQ(find_mmproj(model), dir.path() / "mmproj-F16.gguf");
  touch("mmproj-BF16.gguf");
  EXPECT_EQ(find_mmproj(model), "");  // which of the two?
  touch("scout-mmproj.gguf");
  EXPECT_EQ(find_mmproj(model), dir.path() / "scout-mmproj.gguf");
  touch("mmproj-scout.gguf");
  EXPECT_EQ(find_mmproj(model), dir.path() / "mmproj-scout.gguf");
}

TEST_F(VisionCheckpoint, SaysWhatIsWrongWithAProjectorFile) {
  save_text("m.gguf");
  const auto model = dir.path() / "m.gguf";
  const auto load = [&](const std::string& name) {
    return load_model(model, device, dir.path() / name);
  };
  EXPECT_THAT(
      [&] { load("m.gguf"); },
      ThrowsMessage<CorruptFile>(HasSubstr("architecture is 'llama4', an image projector")));
  VisionConfig wide = vision;
  wide.text_hidden_size = 80;
  const VisionWeights eyes =
      arrange_vision_weights(wide, [next = size_t{0}, all = initialise_vision(wide, 1, device)](
                                       const auto&) mutable { return all[next++]; });
  save_mmproj(dir.path() / "mmproj-wide.gguf", wide, hf_vision_tensors(wide, eyes), DType::kF32,
              "wide");
  EXPECT_THAT([&] { load("mmproj-wide.gguf"); },
              ThrowsMessage<CorruptFile>(HasSubstr("belongs to another model")));
  // Found beside the model, but not asked for: text works without.
  const LoadedModel blind = load_model(model, device);
  EXPECT_EQ(blind.vision, nullptr);
  EXPECT_THAT([&] { blind.need_vision(); },
              ThrowsMessage<UsageError>(HasSubstr("does not see images: name its projector file")));
}

// Each a copy of the golden config with one value that contradicts the rest.
TEST(VisionConfigs, SayWhichValueIsWrong) {
  const auto path = test::data_dir() / "vision/config.json";
  const auto message = [&](const char* key, const nlohmann::json& value) -> std::string {
    auto json = nlohmann::json::parse(read_file(path));
    json["vision_config"][key] = value;
    try {
      vision_config(parse_config(json.dump(), "config.json"), "config.json");
    } catch (const CorruptFile& error) {
      return error.what();
    }
    return "no error";
  };
  EXPECT_THAT(message("hidden_size", 0), HasSubstr("config.json: config: vision_config.hidden"));
  EXPECT_THAT(message("hidden_size", "wide"), HasSubstr("hidden_size is \"wide\""));
  EXPECT_THAT(message("num_attention_heads", 5), HasSubstr("heads of a multiple of 4"));
  EXPECT_THAT(message("num_attention_heads", 0), HasSubstr("num_attention_heads is 0"));
  EXPECT_THAT(message("num_hidden_layers", 1e9), HasSubstr("num_hidden_layers"));
  EXPECT_THAT(message("patch_size", 13), HasSubstr("a divisor of image_size"));
  EXPECT_THAT(message("image_size", 1 << 20), HasSubstr("image_size"));
  EXPECT_THAT(message("pixel_shuffle_ratio", 0), HasSubstr("pixel_shuffle_ratio"));
  EXPECT_THAT(message("pixel_shuffle_ratio", 0.3), HasSubstr("1 / a whole number"));
  EXPECT_THAT(message("pixel_shuffle_ratio", 1.0 / 3), HasSubstr("divides the patches"));
  EXPECT_THAT(message("intermediate_size", 64), HasSubstr("hidden_size / pixel_shuffle_ratio^2"));
  EXPECT_THAT(message("vision_output_dim", 65), HasSubstr("vision_output_dim"));
  EXPECT_THAT(message("hidden_act", "quick_gelu"), HasSubstr("needs \"gelu\""));
  EXPECT_THAT(message("multi_modal_projector_bias", true), HasSubstr("not part of Llama 4"));
  EXPECT_EQ(message("image_size", 56), "no error");
}

TEST_F(VisionCheckpoint, NamesAMissingTensor) {
  VisionConfig deeper = vision;
  deeper.num_hidden_layers = 4;
  EXPECT_THAT([&] { hf_vision_weights(*io::open_sharded(golden), deeper, device); },
              ThrowsMessage<CorruptFile>(HasSubstr(
                  "tensor vision_model.model.layers.3.input_layernorm.weight is missing")));
}

}  // namespace
}  // namespace corral::model
