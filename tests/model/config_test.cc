#include "model/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"
#include "model/layer_spec.h"
#include "model/presets.h"
#include "model/vision/vision_weights.h"
#include "model/weights.h"
#include "support/paths.h"

namespace corral::model {
namespace {

using ::testing::HasSubstr;
using Json = nlohmann::json;

Json small_json() { return Json::parse(read_file(test::data_dir() / "training/config.json")); }

std::string message_of(const Json& json) {
  try {
    parse_config(json.dump(), "config.json");
  } catch (const CorruptFile& error) {
    return error.what();
  }
  return "no error";
}

TEST(Config, ReadsWhatTransformersWrites) {
  const Config c = parse_config(small_json().dump(), "config.json");
  EXPECT_TRUE(c.multimodal_layout);
  EXPECT_EQ(c.hidden_size, 32);
  EXPECT_EQ(c.attention_chunk_size, 8);
  EXPECT_EQ(c.floor_scale, 4);
  EXPECT_EQ(c.no_rope_layers, (std::vector<int64_t>{1, 1, 1, 0}));
  EXPECT_EQ(c.rope_scaling, (RopeScalingConfig{16, 1, 1, 8192}));
}

TEST(Config, ReadsBothSpellingsOfTheRopeValues) {
  Json json = small_json();
  Json& text = json["text_config"];
  text["rope_parameters"] = text["rope_scaling"];
  text["rope_parameters"]["rope_theta"] = text["rope_theta"];
  text.erase("rope_scaling");
  text.erase("rope_theta");
  EXPECT_EQ(parse_config(json.dump(), "v5"), parse_config(small_json().dump(), "v4"));
}

TEST(Config, SurvivesBeingWrittenAndReadAgain) {
  for (const Preset& preset : presets()) {
    EXPECT_EQ(parse_config(config_json(preset.config), "config.json"), preset.config)
        << preset.name;
  }
  const Config multimodal = parse_config(small_json().dump(), "config.json");
  EXPECT_EQ(parse_config(config_json(multimodal), "again"), multimodal);
}

TEST(Config, KeepsTheImageTowersPartOfTheFile) {
  Json json = small_json();
  json["vision_config"] = {{"hidden_size", 32}};
  json["image_token_index"] = 92;
  const Config c = parse_config(json.dump(), "config.json");
  const Json again = Json::parse(config_json(c));
  EXPECT_EQ(again["vision_config"], json["vision_config"]);
  EXPECT_EQ(again["image_token_index"], 92);
}

TEST(Config, TakesNullChunkSizeAsFullAttention_FactsRow26) {
  Json json = small_json();
  json["text_config"]["attention_chunk_size"] = nullptr;
  const Config c = parse_config(json.dump(), "config.json");
  EXPECT_FALSE(c.attention_chunk_size.has_value());
  for (const LayerSpec& layer : layer_specs(c)) EXPECT_EQ(layer.attention.chunk_size, 0);
}

TEST(Config, TakesAnIntegerForTemperatureTuning) {
  Json json = small_json();
  json["text_config"]["attn_temperature_tuning"] = 4;
  EXPECT_TRUE(parse_config(json.dump(), "config.json").attn_temperature_tuning);
}

TEST(Config, DefaultsToScoutsRopeScalingAndEpsilon_FactsRows2And5) {
  const RopeScalingConfig scaling;
  EXPECT_EQ(scaling.factor, 16);
  EXPECT_EQ(scaling.low_freq_factor, 1);
  EXPECT_EQ(scaling.high_freq_factor, 1);
  EXPECT_EQ(Config{}.rms_norm_eps, 1e-5);
  EXPECT_FALSE(find_preset("maverick").config.rope_scaling.has_value());
  EXPECT_TRUE(find_preset("scout").config.rope_scaling.has_value());
}

TEST(ConfigErrors, NameTheKeyAndTheValue) {
  const auto with = [](const char* key, const Json& value) {
    Json json = small_json();
    json["text_config"][key] = value;
    return message_of(json);
  };
  EXPECT_THAT(with("hidden_size", 0), HasSubstr("hidden_size is 0"));
  EXPECT_THAT(with("hidden_size", -5), HasSubstr("hidden_size is -5"));
  EXPECT_THAT(with("vocab_size", int64_t{1} << 50), HasSubstr("vocab_size"));
  EXPECT_THAT(with("num_hidden_layers", 1000000000), HasSubstr("num_hidden_layers"));
  EXPECT_THAT(with("head_dim", 15), HasSubstr("head_dim is 15"));
  EXPECT_THAT(with("num_key_value_heads", 3), HasSubstr("num_attention_heads"));
  EXPECT_THAT(with("num_experts_per_tok", 5), HasSubstr("num_experts_per_tok is 5"));
  EXPECT_THAT(with("num_experts_per_tok", 0), HasSubstr("num_experts_per_tok is 0"));
  EXPECT_THAT(with("hidden_size", "64"), HasSubstr("needs a whole number"));
  EXPECT_THAT(with("rms_norm_eps", 0), HasSubstr("rms_norm_eps"));
  EXPECT_THAT(with("rope_theta", "big"), HasSubstr("rope_theta"));
  EXPECT_THAT(with("no_rope_layers", Json::array({1, 1})), HasSubstr("no_rope_layers"));
  EXPECT_THAT(with("moe_layers", Json::array({7})), HasSubstr("moe_layers is 7"));
  EXPECT_THAT(with("attention_chunk_size", 0), HasSubstr("attention_chunk_size is 0"));
  EXPECT_THAT(with("attention_bias", true), HasSubstr("attention_bias"));
  EXPECT_THAT(with("rope_scaling", {{"rope_type", "yarn"}}), HasSubstr("yarn"));
}

TEST(ConfigErrors, SayWhichModelsAreMeant) {
  Json json = small_json();
  json["model_type"] = "llama";
  EXPECT_THAT(message_of(json), HasSubstr("needs llama4"));
  json.erase("model_type");
  EXPECT_THAT(message_of(json), HasSubstr("model_type"));
  EXPECT_THAT(message_of(Json::array()), HasSubstr("not a JSON object"));
  json = small_json();
  json.erase("text_config");
  EXPECT_THAT(message_of(json), HasSubstr("text_config is missing"));
}

TEST(LayerSpecs, OfScoutAndMaverickAreMetas_FactsRows4And7And19) {
  const auto scout = layer_specs(find_preset("scout").config);
  const auto maverick = layer_specs(find_preset("maverick").config);
  ASSERT_EQ(scout.size(), 48u);
  ASSERT_EQ(maverick.size(), 48u);
  for (size_t i = 0; i < 48; ++i) {
    const bool global = i % 4 == 3;
    EXPECT_EQ(scout[i].attention.rope, !global) << i;
    EXPECT_EQ(scout[i].attention.qk_norm, !global) << i;
    EXPECT_EQ(scout[i].attention.chunk_size, global ? 0 : 8192) << i;
    EXPECT_EQ(scout[i].attention.temperature.has_value(), global) << i;
    EXPECT_TRUE(scout[i].moe) << i;
    EXPECT_EQ(scout[i].experts, 16) << i;

    EXPECT_EQ(maverick[i].attention.rope, !global) << i;
    EXPECT_FALSE(maverick[i].attention.qk_norm) << i;
    EXPECT_FALSE(maverick[i].attention.temperature.has_value()) << i;
    EXPECT_EQ(maverick[i].moe, i % 2 == 1) << i;
    EXPECT_EQ(maverick[i].mlp_width, i % 2 == 1 ? 8192 : 16384) << i;
    EXPECT_EQ(maverick[i].experts, i % 2 == 1 ? 128 : 0) << i;
  }
}

TEST(ParameterCount, OfTheFamilyIsWhatMetaPublished) {
  const auto scout = count_parameters(find_preset("scout").config);
  EXPECT_NEAR(static_cast<double>(scout.total) / 1e9, 107.77, 0.005);
  EXPECT_NEAR(static_cast<double>(scout.active) / 1e9, 17.17, 0.005);
  const auto maverick = count_parameters(find_preset("maverick").config);
  EXPECT_NEAR(static_cast<double>(maverick.total) / 1e9, 400.71, 0.005);
  EXPECT_NEAR(static_cast<double>(maverick.active) / 1e9, 17.18, 0.005);
  const auto behemoth = count_parameters(find_preset("behemoth").config);
  EXPECT_NEAR(static_cast<double>(behemoth.total) / 1e12, 2.0, 0.05);
  EXPECT_NEAR(static_cast<double>(behemoth.active) / 1e9, 288, 0.5);
}

// Published: 109 and 400 billion with the tower (their files hold 108.6 and 401.6).
TEST(ParameterCount, OfTheImageTowerIsTheSameInScoutAndMaverick) {
  for (const char* name : {"scout", "maverick"}) {
    const Preset preset = find_preset(name);
    ASSERT_TRUE(preset.vision) << name;
    // 34 layers of 4 D^2 + 2 D F + 9 D + F, the patches, the class token, 577 positions, two norms;
    // adapter and projector.
    constexpr int64_t D = 1408;
    constexpr int64_t F = 5632;
    constexpr int64_t kLayer = 4 * D * D + 2 * D * F + 9 * D + F;
    EXPECT_EQ(count_vision_parameters(*preset.vision),
              34 * kLayer + 588 * D + D + 577 * D + 4 * D + 4096 * F + 4096 * 4096 + 5120 * 4096)
        << name;
  }
  EXPECT_FALSE(find_preset("scout-mini").vision);
}

TEST(ParameterCount, OfTheMiniaturesIsThatOfTheirTable) {
  const auto mini = count_parameters(find_preset("scout-mini").config);
  EXPECT_NEAR(static_cast<double>(mini.total) / 1e6, 18.5, 0.05);
  EXPECT_NEAR(static_cast<double>(mini.active) / 1e6, 3.8, 0.05);
}

TEST(KvCacheBytes, AreBoundedInChunkedLayers) {
  const Config scout = find_preset("scout").config;
  constexpr kv::KvTypes kBf16 = {DType::kBF16, DType::kBF16};
  // FACTS: 493 GB at ten million tokens in bf16 when chunked layers keep one chunk.
  EXPECT_NEAR(static_cast<double>(kv_cache_bytes(scout, 10000000, kBf16)) / 1e9, 492.7, 1);
  const int64_t row = 2 * 8 * 128 * 2;
  EXPECT_EQ(kv_cache_bytes(scout, 100, kBf16), 48 * 100 * row);
  EXPECT_EQ(kv_cache_bytes(scout, 8193, kBf16), 36 * 8192 * row + 12 * 8193 * row);
  // 32 values share a scale of two bytes.
  EXPECT_EQ(kv_cache_bytes(scout, 100, {DType::kQ8_0, DType::kQ4_0}),
            48 * 100 * 8 * (128 + 8 + 64 + 8));
}

TEST(Presets, NameWhatThereIsWhenTheNameIsUnknown) {
  try {
    find_preset("scuot");
    FAIL();
  } catch (const UsageError& error) {
    EXPECT_THAT(error.what(), HasSubstr("scout, maverick, behemoth"));
  }
}

}  // namespace
}  // namespace corral::model
