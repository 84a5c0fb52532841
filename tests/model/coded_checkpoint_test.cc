#include "model/coded_checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "io/safetensors.h"
#include "io/safetensors_header.h"
#include "io/safetensors_writer.h"
#include "kv/batch.h"
#include "model/hf_checkpoint.h"
#include "model/loaded_model.h"
#include "model/quantize.h"
#include "model/tiny_model.h"
#include "quant/coded.h"
#include "quant/dense.h"
#include "support/temp_dir.h"
#include "support/tensors.h"

namespace corral::model {
namespace {

using test::logits_of;
using test::same_bits;
using testing::HasSubstr;

// A safetensors file with FP8 codes, which no writer of ours makes.
class Fp8Folder {
 public:
  enum class Shared { kCoded, kFloat };
  explicit Fp8Folder(const std::map<std::string, Tensor>& floats, Shared shared = Shared::kCoded)
      : shared_(shared) {
    for (const auto& [name, tensor] : floats) {
      const bool is_shared = name.find("shared_expert.") != name.npos;
      if (name.find("experts.") != name.npos || (is_shared && shared == Shared::kCoded)) continue;
      const auto* bytes = reinterpret_cast<const char*>(tensor.data<std::byte>());
      add(name, "BF16", tensor.shape(), {bytes, static_cast<size_t>(tensor.size_bytes())});
    }
  }
  void add_shared(const std::string& prefix, const MlpWeights& mlp) {
    add_matrices(prefix, mlp, 0);
  }
  void add_single(const std::string& prefix, const MlpWeights& mlp) {
    for (int64_t e = 0; e < mlp.gate.count; ++e) add_matrices(str(prefix, e, "."), mlp, e);
  }
  void add_fused(const std::string& prefix, const MlpWeights& mlp) {
    add_stack(prefix + "gate_up_proj", {mlp.gate, mlp.up});
    add_stack(prefix + "down_proj", {mlp.down});
  }
  void write(const std::filesystem::path& path) const {
    io::SafetensorsHeader header;
    header.tensors = infos_;
    write_file_atomically(path, io::encode_safetensors_header(header) + data_);
  }

 private:
  void add(const std::string& name, const char* type, const Shape& shape,
           const std::string& bytes) {
    io::TensorInfo info;
    info.name = name;
    info.type_name = type;
    info.shape = shape;
    info.size_bytes = static_cast<int64_t>(bytes.size());
    infos_.push_back(std::move(info));
    data_ += bytes;
  }
  void add_scales(const std::string& name, const Shape& shape, const std::vector<float>& scales) {
    if (shared_ == Shared::kCoded) {
      add(name, "F32", shape,
          {reinterpret_cast<const char*>(scales.data()), scales.size() * sizeof(float)});
      return;
    }
    std::string bytes;
    for (const float scale : scales) {
      const uint16_t bits = f32_to_bf16(scale);
      bytes.append(reinterpret_cast<const char*>(&bits), sizeof bits);
    }
    add(name, "BF16", shape, bytes);
  }
  void add_matrices(const std::string& prefix, const MlpWeights& mlp, int64_t index) {
    for (const auto& [name, w] : {std::pair{"gate_proj", &mlp.gate}, std::pair{"up_proj", &mlp.up},
                                  std::pair{"down_proj", &mlp.down}}) {
      const int64_t N = w->out_features;
      const int64_t n = N * w->in_features;
      const auto* codes = reinterpret_cast<const char*>(w->data.data<uint8_t>()) + index * n;
      add(prefix + name + ".weight", "F8_E4M3", {N, w->in_features},
          {codes, static_cast<size_t>(n)});
      const auto* scales = w->scales.data<float>() + index * N;
      add_scales(prefix + name + ".weight_scale", {N, 1}, {scales, scales + N});
    }
  }
  // [E, K, columns], the outputs of all parts side by side.
  void add_stack(const std::string& name, const std::vector<quant::LinearWeight>& parts) {
    const int64_t E = parts[0].count;
    const int64_t K = parts[0].in_features;
    const int64_t F = parts[0].out_features;
    const int64_t columns = F * std::ssize(parts);
    std::string codes;
    std::vector<float> scales;
    for (int64_t e = 0; e < E; ++e) {
      for (const auto& part : parts) {
        const auto* from = part.scales.data<float>() + e * F;
        scales.insert(scales.end(), from, from + F);
      }
      for (int64_t k = 0; k < K; ++k) {
        for (const auto& part : parts) {
          for (int64_t n = 0; n < F; ++n) {
            codes += static_cast<char>(part.data.data<uint8_t>()[(e * F + n) * K + k]);
          }
        }
      }
    }
    add(name, "F8_E4M3", {E, K, columns}, codes);
    add_scales(name + "_scale", {E, 1, columns}, scales);
  }

  Shared shared_;  // kFloat: as released, with scales in bf16
  std::vector<io::TensorInfo> infos_;
  std::string data_;
};

// The scales as a file keeps them that stores them in bf16.
void round_scales(MlpWeights& mlp) {
  for (quant::LinearWeight* w : {&mlp.gate, &mlp.up, &mlp.down}) {
    w->scales = w->scales.clone();
    auto* scale = w->scales.mutable_data<float>();
    std::transform(scale, scale + w->scales.numel(), scale,
                   [](float exact) { return bf16_to_f32(f32_to_bf16(exact)); });
  }
}

class CodedCheckpoint : public testing::Test {
 protected:
  // A file whose values are bf16 already, so that storing the rest as bf16 changes nothing.
  void SetUp() override { save_hf(dir.path() / "m", config, made.weights(), DType::kBF16); }
  TextModel bf16() const { return load_model(dir.path() / "m", device).model; }
  TextModel coded(ExpertCoding coding) const {
    return TextModel(config, code_experts(bf16().weights(), coding));
  }
  std::string message(const std::filesystem::path& path) const {
    try {
      load_model(path, device);
    } catch (const Error& error) {
      EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
      return error.what();
    }
    return "no error";
  }
  // All tensors of a folder with one file, to be changed and written again.
  std::map<std::string, Tensor> tensors(const std::filesystem::path& path) const {
    std::map<std::string, Tensor> all;
    const io::SafetensorsFile file(path / "model.safetensors");
    for (const auto& info : file.tensors()) all[info.name] = file.get(info.name, device).clone();
    return all;
  }
  static void write(const std::filesystem::path& path, const std::map<std::string, Tensor>& all) {
    std::vector<io::NamedTensor> list;
    for (const auto& [name, tensor] : all) list.push_back({name, tensor});
    io::write_safetensors(path / "model.safetensors", list);
  }

  test::TempDir dir;
  DevicePtr device = test::test_device();
  Config config = test::tiny_config(false);
  TextModel made = test::tiny_model(config, device);
};

TEST_F(CodedCheckpoint, WrittenCodesAreThoseMadeAtLoad) {
  const TextModel source = bf16();
  for (const auto coding : {ExpertCoding::kInt4, ExpertCoding::kFp8}) {
    for (const bool multimodal : {false, true}) {
      Config layout = config;
      layout.multimodal_layout = multimodal;
      const bool int4 = coding == ExpertCoding::kInt4;
      const auto path = dir.path() / str(int4 ? "int4" : "fp8", multimodal);
      save_hf(path, layout, source.weights(), {.experts = coding});
      const LoadedModel loaded = load_model(path, device);
      EXPECT_TRUE(same_bits(logits_of(loaded.model), logits_of(coded(coding))));
      const io::SafetensorsFile file(path / "model.safetensors");
      const std::string layers = multimodal ? "language_model.model.layers." : "model.layers.";
      const std::string up = layers + "1.feed_forward.experts.3.up_proj.weight";
      EXPECT_EQ(file.info(int4 ? up + "_packed" : up).type_name, int4 ? "I32" : "F8_E4M3");
      EXPECT_TRUE(file.has(layers + "1.feed_forward.shared_expert.up_proj.weight_scale"));
      EXPECT_EQ(file.info(layers + "0.feed_forward.up_proj.weight").type_name, "BF16");  // dense
      const Json json = parse_json(read_file(path / "config.json"), "config.json");
      EXPECT_EQ(json["quantization_config"]["format"], int4 ? "pack-quantized" : "float-quantized");
    }
  }
}

TEST_F(CodedCheckpoint, SharesOfSeveralFilesAndProgressAddUp) {
  int64_t last = 0;
  int64_t of = 0;
  HfOptions options{.experts = ExpertCoding::kFp8, .max_shard_bytes = 40000};
  options.progress = [&](int64_t done, int64_t total) {
    EXPECT_GE(done, last);
    last = done;
    of = total;
  };
  save_hf(dir.path() / "shards", config, bf16().weights(), options);
  EXPECT_EQ(last, of);
  EXPECT_TRUE(same_bits(logits_of(load_model(dir.path() / "shards", device).model),
                        logits_of(coded(ExpertCoding::kFp8))));
}

TEST_F(CodedCheckpoint, BothCodesStayCloseToTheFloats) {
  const Tensor exact = logits_of(bf16());
  for (const auto& [coding, bound] :
       {std::pair{ExpertCoding::kInt4, 0.2}, std::pair{ExpertCoding::kFp8, 0.05}}) {
    const Tensor logits = logits_of(coded(coding));
    double difference = 0;
    double size = 0;
    for (int64_t i = 0; i < exact.numel(); ++i) {
      difference += std::pow(logits.data<float>()[i] - exact.data<float>()[i], 2.0);
      size += std::pow(exact.data<float>()[i], 2.0);
    }
    EXPECT_LE(std::sqrt(difference / size), bound);
    EXPECT_GT(difference, 0);
  }
}

TEST_F(CodedCheckpoint, TouchesTheExpertsOfMoeLayersOnly_FactsMetaFp8) {
  for (const ExpertCoding coding : {ExpertCoding::kInt4, ExpertCoding::kFp8}) {
    const TextModel model = coded(coding);
    const TextWeights& weights = model.weights();
    const auto plain = quant::Coding::kNone;
    EXPECT_EQ(weights.readout.coding, plain);
    for (const LayerWeights& layer : weights.layers) {
      EXPECT_EQ(layer.attention.q.coding, plain);
      EXPECT_EQ(layer.attention.o.coding, plain);
      if (layer.dense) {
        EXPECT_EQ(layer.dense->gate.coding, plain);
      }
      if (!layer.moe) continue;
      EXPECT_EQ(layer.moe->router.coding, plain);
      EXPECT_NE(layer.moe->experts.down.coding, plain);
      EXPECT_NE(layer.moe->shared.up.coding, plain);
    }
  }
}

// The forms in which FP8 files keep experts: fused, and one by one.
TEST_F(CodedCheckpoint, Fp8FilesOfBothFormsAreTheModelMadeAtLoad) {
  const TextModel fp8 = coded(ExpertCoding::kFp8);
  const auto floats = tensors(dir.path() / "m");
  for (const bool fused : {true, false}) {
    Fp8Folder folder(floats);
    for (int64_t i = 0; i < config.num_hidden_layers; ++i) {
      const auto& moe = fp8.weights().layers[static_cast<size_t>(i)].moe;
      if (!moe) continue;
      const std::string prefix = str("model.layers.", i, ".feed_forward.");
      folder.add_shared(prefix + "shared_expert.", moe->shared);
      if (fused) {
        folder.add_fused(prefix + "experts.", moe->experts);
      } else {
        folder.add_single(prefix + "experts.", moe->experts);
      }
    }
    const auto path = dir.path() / (fused ? "fused" : "single");
    std::filesystem::create_directories(path);
    write_file_atomically(path / "config.json", config_json(config));
    folder.write(path / "model.safetensors");
    EXPECT_TRUE(same_bits(logits_of(load_model(path, device).model), logits_of(fp8))) << fused;
  }
}

// Of Maverick in FP8 routed experts alone are codes, one matrix an expert, under the names of the
// model that sees; shared experts, dense layers and attention are bf16
// (docs/formats/safetensors.md).
TEST_F(CodedCheckpoint, ReadsTheFormInWhichMaverickWasReleased_FactsMetaFp8) {
  Config seeing = config;
  seeing.multimodal_layout = true;
  save_hf(dir.path() / "floats", seeing, made.weights(), DType::kBF16);
  TextWeights wanted = coded(ExpertCoding::kFp8).weights();
  const TextModel floats = bf16();
  Fp8Folder folder(tensors(dir.path() / "floats"), Fp8Folder::Shared::kFloat);
  for (size_t i = 0; i < wanted.layers.size(); ++i) {
    if (!wanted.layers[i].moe) continue;
    MoeWeights& moe = *wanted.layers[i].moe;
    moe.shared = floats.weights().layers[i].moe->shared;
    round_scales(moe.experts);
    folder.add_single(str("language_model.model.layers.", i, ".feed_forward.experts."),
                      moe.experts);
  }
  const auto path = dir.path() / "released";
  std::filesystem::create_directories(path);
  Json json = Json::parse(config_json(seeing));
  json["quantization_config"] = Json::parse(R"({"quant_method": "compressed-tensors",
    "format": "float-quantized", "quantization_status": "compressed", "kv_cache_scheme": null,
    "global_compression_ratio": null, "config_groups": {"group_0": {"targets": ["Linear"],
      "weights": {"num_bits": 8, "type": "float", "strategy": "channel", "symmetric": true,
                  "dynamic": false, "group_size": null, "actorder": null},
      "input_activations": {"num_bits": 8, "type": "float", "strategy": "token",
                            "symmetric": true, "dynamic": true}, "output_activations": null}},
    "ignore": ["language_model.model.layers.0.self_attn.q_proj",
               "language_model.model.layers.1.feed_forward.shared_expert.gate_proj",
               "language_model.model.layers.1.feed_forward.router", "language_model.lm_head"]})");
  write_file_atomically(path / "config.json", json.dump());
  folder.write(path / "model.safetensors");
  const LoadedModel loaded = load_model(path, device);
  EXPECT_EQ(loaded.model.weights().layers[1].moe->shared.up.coding, quant::Coding::kNone);
  EXPECT_TRUE(same_bits(logits_of(loaded.model), logits_of(TextModel(config, wanted))));
  EXPECT_FALSE(same_bits(logits_of(loaded.model), logits_of(floats)));
}

TEST_F(CodedCheckpoint, CanBeWrittenAsFloatsAgain) {
  // AMX multiplies weights in bf16 otherwise than the same numbers in f32.
  device = test::test_device(simd::Isa::kPortable);
  const TextModel int4 = coded(ExpertCoding::kInt4);
  save_hf(dir.path() / "again", config, int4.weights(), DType::kF32);
  EXPECT_TRUE(
      same_bits(logits_of(load_model(dir.path() / "again", device).model), logits_of(int4)));
  EXPECT_THROW(
      save_hf(dir.path() / "twice", config, int4.weights(), {.experts = ExpertCoding::kInt4}),
      NotSupported);
  EXPECT_THROW(code_experts(int4.weights(), ExpertCoding::kFp8), UsageError);
}

TEST_F(CodedCheckpoint, DamageIsOneLine) {
  const auto path = dir.path() / "int4";
  save_hf(path, config, bf16().weights(), {.experts = ExpertCoding::kInt4});
  const auto good = tensors(path);
  const std::string base = "model.layers.1.feed_forward.experts.2.gate_proj.weight";
  const auto with = [&](const std::string& name, std::optional<Tensor> tensor) {
    auto all = good;
    all.erase(name);
    if (tensor) all[name] = *tensor;
    write(path, all);
    return message(path);
  };
  EXPECT_THAT(with(base + "_packed", std::nullopt), HasSubstr(base + " is missing"));
  EXPECT_THAT(with(base + "_scale", std::nullopt), HasSubstr(base + "_scale is missing"));
  EXPECT_THAT(with(base + "_packed", Tensor::zeros({3, 3}, DType::kI32, device)),
              HasSubstr("eight codes each"));
  EXPECT_THAT(with(base + "_scale", Tensor::zeros({7}, DType::kF32, device)),
              HasSubstr("rows need a scale"));
  EXPECT_THAT(with(base + "_shape", Tensor::zeros({2}, DType::kI64, device)),
              HasSubstr("as the config does"));
  EXPECT_THAT(with(base + "_zero_point", Tensor::zeros({2}, DType::kI64, device)),
              HasSubstr("symmetric groups"));
  write(path, good);
  Json json = parse_json(read_file(path / "config.json"), "config.json");
  json["quantization_config"]["quant_method"] = "awq";
  write_file_atomically(path / "config.json", json.dump());
  EXPECT_THAT(message(path), HasSubstr("weights quantized by \"awq\""));
}

TEST(CodedBytes, ScoutFitsOneGpuOf80GigabytesInInt4) {
  const Config scout = find_preset("scout").config;
  EXPECT_LT(coded_bytes(scout, ExpertCoding::kInt4), int64_t{70'000'000'000});
  EXPECT_GT(coded_bytes(scout, ExpertCoding::kInt4), int64_t{60'000'000'000});
  EXPECT_EQ(coded_bytes(scout, ExpertCoding::kNone), count_parameters(scout).total * 2);
}

}  // namespace
}  // namespace corral::model
