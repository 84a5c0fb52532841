#include "model/meta_checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "io/safetensors.h"
#include "kv/batch.h"
#include "model/export_source.h"
#include "model/gguf_checkpoint.h"
#include "model/hf_checkpoint.h"
#include "model/initialise.h"
#include "model/loaded_model.h"
#include "model/streamed_model.h"
#include "model/tiny_model.h"
#include "model/vision/vision_checkpoint.h"
#include "quant/dense.h"
#include "support/paths.h"
#include "support/temp_dir.h"
#include "support/tensors.h"
#include "support/torch_writer.h"

namespace corral::model {
namespace {

using test::logits_of;
using test::same_bits;
using testing::HasSubstr;

constexpr const char* kParams = R"({"dim": 64, "n_layers": 4, "n_heads": 4, "n_kv_heads": 2,
  "vocab_size": 96, "multiple_of": 32, "ffn_dim_multiplier": 1.0, "ffn_exp": 4.0, "norm_eps": 1e-5,
  "attention_chunk_size": 16, "rope_theta": 10000.0, "use_scaled_rope": true,
  "nope_layer_interval": 4, "use_qk_norm": true, "attn_temperature_tuning": true, "floor_scale": 8,
  "moe_args": {"num_experts": 4, "interleave_moe_layer_step": 2}})";

// A random model in the form that Meta publishes, cut into parts; the names are those of the
// goldens' README.
class NativeModel {
 public:
  NativeModel(const Config& config, const DevicePtr& device) : config_(config), device_(device) {
    for (const ParameterInfo& info : parameter_list(config)) {
      tensors_.emplace(info.name, initialise_parameter(config, info, 3, device));
    }
  }

  TextWeights weights() const {
    return arrange_weights(config_,
                           [&](const ParameterInfo& info) { return tensors_.at(info.name); });
  }

  void write(const std::filesystem::path& dir, int64_t parts) const {
    std::filesystem::create_directories(dir);
    write_file_atomically(dir / "params.json", kParams);
    for (int64_t part = 0; part < parts; ++part) {
      test::TorchWriter out;
      write_part(out, part, parts);
      out.write(dir / str("consolidated.0", part, ".pth"));
    }
  }

 private:
  Tensor get(const std::string& name) const { return tensors_.at("language_model." + name); }

  // Rows [begin, end) and columns [first, last) of a matrix.
  Tensor cut(const Tensor& x, int64_t begin, int64_t end, int64_t first, int64_t last) const {
    Tensor out({end - begin, last - first}, DType::kF32, device_);
    auto* to = out.mutable_data<float>();
    for (int64_t r = begin; r < end; ++r) {
      to = std::copy_n(x.data<float>() + r * x.dim(1) + first, last - first, to);
    }
    return out;
  }
  Tensor by_rows(const Tensor& x, int64_t part, int64_t parts) const {
    return cut(x, x.dim(0) * part / parts, x.dim(0) * (part + 1) / parts, 0, x.dim(1));
  }
  Tensor by_columns(const Tensor& x, int64_t part, int64_t parts) const {
    return cut(x, 0, x.dim(0), x.dim(1) * part / parts, x.dim(1) * (part + 1) / parts);
  }
  Tensor below(const std::vector<Tensor>& pieces) const {
    int64_t rows = 0;
    for (const Tensor& piece : pieces) rows += piece.dim(0);
    Tensor out({rows, pieces[0].dim(1)}, DType::kF32, device_);
    auto* to = out.mutable_data<float>();
    for (const Tensor& piece : pieces) to = std::copy_n(piece.data<float>(), piece.numel(), to);
    return out;
  }

  void write_experts(test::TorchWriter& out, const std::string& native, const std::string& name,
                     int64_t part, int64_t parts) const {
    const int64_t D = config_.hidden_size;
    const int64_t F = config_.intermediate_size;
    const Tensor router = get(name + "router.weight");
    out.add_view(native + "router_DE", router, 0, {D, router.dim(0)}, {1, D});
    const Tensor gate_up = get(name + "experts.gate_up_proj").view({router.dim(0) * D, 2 * F});
    out.add(native + "experts.moe_w_in_eD_F",
            by_columns(cut(gate_up, 0, gate_up.dim(0), 0, F), part, parts));
    out.add(native + "experts.moe_w_swiglu_eD_F",
            by_columns(cut(gate_up, 0, gate_up.dim(0), F, 2 * F), part, parts));
    std::vector<Tensor> downs;
    const Tensor down = get(name + "experts.down_proj");
    for (int64_t e = 0; e < down.dim(0); ++e) {
      downs.push_back(by_rows(down.rows(e, e + 1).view({F, D}), part, parts));
    }
    out.add(native + "experts.moe_w_out_eF_D", below(downs));
    const std::string shared = name + "shared_expert.";
    out.add(native + "w_in_shared_FD.weight",
            by_rows(get(shared + "gate_proj.weight"), part, parts));
    out.add(native + "w_swiglu_FD.weight", by_rows(get(shared + "up_proj.weight"), part, parts));
    out.add(native + "w_out_shared_DF.weight",
            by_columns(get(shared + "down_proj.weight"), part, parts));
  }

  void write_part(test::TorchWriter& out, int64_t part, int64_t parts) const {
    const auto rows = [&](const std::string& name) { return by_rows(get(name), part, parts); };
    out.add("tok_embeddings.weight", rows("model.embed_tokens.weight"));
    out.add("norm.weight", get("model.norm.weight"));
    out.add("output.weight", rows("lm_head.weight"));
    for (int64_t i = 0; i < config_.num_hidden_layers; ++i) {
      const std::string name = str("model.layers.", i, ".");
      const std::string native = str("layers.", i, ".");
      const std::string mlp = native + "feed_forward.";
      out.add(native + "attention.wqkv.layer_norm_weight", get(name + "input_layernorm.weight"));
      out.add(native + "attention.wqkv.weight",
              below({rows(name + "self_attn.q_proj.weight"), rows(name + "self_attn.k_proj.weight"),
                     rows(name + "self_attn.v_proj.weight")}));
      out.add(native + "attention.wo.weight",
              by_columns(get(name + "self_attn.o_proj.weight"), part, parts));
      const Tensor norm = get(name + "post_attention_layernorm.weight");
      if (config_.is_moe(i)) {
        out.add(mlp + "norm.weight", norm);
        write_experts(out, mlp, name + "feed_forward.", part, parts);
        continue;
      }
      out.add(mlp + "mlp.layer_norm_weight", norm);
      out.add(mlp + "mlp.fc1_weight", below({rows(name + "feed_forward.gate_proj.weight"),
                                             rows(name + "feed_forward.up_proj.weight")}));
      out.add(mlp + "mlp.fc2_weight",
              by_columns(get(name + "feed_forward.down_proj.weight"), part, parts));
    }
  }

  Config config_;
  DevicePtr device_;
  std::map<std::string, Tensor> tensors_;
};

class MetaCheckpoint : public testing::Test {
 protected:
  std::string message() {
    try {
      load_model(dir.path() / "m", device);
    } catch (const Error& error) {
      EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
      return error.what();
    }
    return "no error";
  }
  void set_params(const std::string& key, const Json& value) {
    Json params = Json::parse(kParams);
    params[key] = value;
    write_file_atomically(dir.path() / "m/params.json", params.dump());
  }

  test::TempDir dir;
  DevicePtr device = test::test_device();
  Config config = parse_meta_config(kParams, "params.json");
  NativeModel native{config, device};
};

TEST_F(MetaCheckpoint, InAnyNumberOfPartsIsTheSameModel) {
  const Tensor expected = logits_of(TextModel(config, native.weights()));
  for (const int64_t parts : {1, 2}) {
    const auto path = dir.path() / std::to_string(parts);
    native.write(path, parts);
    const LoadedModel loaded = load_model(path, device);
    EXPECT_EQ(loaded.format, "meta");
    EXPECT_TRUE(same_bits(logits_of(loaded.model), expected)) << parts;
  }
}

TEST_F(MetaCheckpoint, BecomesAHuggingFaceCheckpointOfTheSameValues) {
  native.write(dir.path() / "m", 2);
  const LoadedModel loaded = load_model(dir.path() / "m", device);
  save_hf(dir.path() / "hf", config, loaded.model.weights(), DType::kF32);
  save_hf(dir.path() / "expected", config, native.weights(), DType::kF32);
  EXPECT_EQ(read_file(dir.path() / "hf/model.safetensors"),
            read_file(dir.path() / "expected/model.safetensors"));
  const auto source = open_meta_checkpoint(dir.path() / "m", config);
  EXPECT_TRUE(
      same_bits(hf_parameters(*source, config, device).at(16),
                hf_parameters(*io::open_sharded(dir.path() / "hf"), config, device).at(16)));
}

TEST_F(MetaCheckpoint, IsConvertedInSlicesToTheSameFiles) {
  save_hf(dir.path() / "expected", config, native.weights(), DType::kF32);
  save_gguf(dir.path() / "expected.gguf", config, native.weights(), nullptr, {});
  for (const int64_t parts : {1, 2}) {
    const auto path = dir.path() / std::to_string(parts);
    native.write(path, parts);
    const StreamedModel model(path, device);
    save_hf(path / "hf", config, model.hf(ExpertCoding::kNone), {.dtype = DType::kF32});
    EXPECT_EQ(read_file(path / "hf/model.safetensors"),
              read_file(dir.path() / "expected/model.safetensors"));
    save_gguf(path / "m.gguf", config, model.gguf(), nullptr, {});
    EXPECT_EQ(read_file(path / "m.gguf"), read_file(dir.path() / "expected.gguf"));
  }
}

TEST_F(MetaCheckpoint, MergesOnlyTheRowsThatAreAskedFor) {
  native.write(dir.path() / "m", 2);
  const auto source = open_meta_checkpoint(dir.path() / "m", config);
  for (const io::TensorInfo& info : source->tensors()) {
    const Tensor whole = source->get(info.name, device);
    const int64_t rows = info.shape[0];
    for (const auto& [begin, end] : {std::pair{int64_t{0}, rows},
                                     {rows / 4, rows / 4 + 1},
                                     {rows / 2 - 1, rows},
                                     {rows, rows}}) {
      EXPECT_TRUE(
          same_bits(source->get_rows(info.name, begin, end, device), whole.rows(begin, end)))
          << info.name << " " << begin << " " << end;
    }
    EXPECT_THROW(source->get_rows(info.name, 1, rows + 1, device), ShapeError);
  }
}

TEST_F(MetaCheckpoint, OfOnePartIsMapped) {
  native.write(dir.path() / "m", 1);
  const auto source = open_meta_checkpoint(dir.path() / "m", config);
  for (const io::TensorInfo& info : source->tensors()) {
    EXPECT_EQ(source->get(info.name, device).storage()->writable(),
              info.name.ends_with("router.weight"))
        << info.name;
  }
}

TEST_F(MetaCheckpoint, NamesAMissingPart) {
  native.write(dir.path() / "m", 2);
  std::filesystem::rename(dir.path() / "m/consolidated.00.pth", dir.path() / "saved");
  EXPECT_THAT(message(), HasSubstr("consolidated.00.pth: missing, but there is consolidated.01"));
  std::filesystem::rename(dir.path() / "saved", dir.path() / "m/consolidated.00.pth");
  std::filesystem::remove(dir.path() / "m/consolidated.01.pth");
  EXPECT_THAT(message(), HasSubstr("params.json and 1 part need [96, 64]"));
  std::filesystem::remove(dir.path() / "m/consolidated.00.pth");
  EXPECT_THAT(message(), HasSubstr("consolidated.00.pth: missing"));
}

TEST_F(MetaCheckpoint, ContradictingParamsAreOneLine) {
  native.write(dir.path() / "m", 1);
  const std::vector<std::pair<std::pair<const char*, Json>, const char*>> cases = {
      {{"vocab_size", 97}, "tok_embeddings.weight is [96, 64]"},
      {{"n_layers", 5}, "layers.4.attention.wqkv.layer_norm_weight is missing"},
      {{"n_layers", 1e300}, "n_layers is no number of usual size"},
      {{"n_layers", 100000}, "num_hidden_layers is 100000"},
      {{"dim", 64.5}, "dim is no whole number"},
      {{"dim", "64"}, "dim is no number"},
      {{"n_heads", 0}, "num_attention_heads is 0"},
      {{"n_kv_heads", 3}, "num_attention_heads is 4"},
      {{"multiple_of", 0}, "multiple_of is 0"},
      {{"ffn_dim_multiplier", -1}, "give no width"},
      {{"multiple_of", 512}, "fc1_weight is [384, 64], params.json and 1 part need [1024, 64]"},
      {{"use_qk_norm", 3}, "use_qk_norm is no truth value"},
      {{"moe_args", 3}, "moe_args is no object"},
      {{"moe_args", {{"num_experts", 1000000000}}}, "num_local_experts is 1000000000"},
      {{"vision_args", {{"dim", 8}}}, "output_dim is missing"},
      {{"vision_args", {{"dim", 8}, {"output_dim", 8}}}, "vision_args.image_size is no square"}};
  for (const auto& [change, expected] : cases) {
    set_params(change.first, change.second);
    EXPECT_THAT(message(), HasSubstr(expected)) << change.first;
  }
  write_file_atomically(dir.path() / "m/params.json", "[]");
  EXPECT_THAT(message(), HasSubstr("params.json: not a JSON object"));
}

TEST(MetaConfig, GivesScoutsAndMavericksWidths) {
  const Config scout = parse_meta_config(R"({"dim": 5120, "n_layers": 48, "n_heads": 40,
    "n_kv_heads": 8, "vocab_size": 202048, "multiple_of": 2048, "ffn_dim_multiplier": 1.2,
    "ffn_exp": 4.0, "norm_eps": 1e-05, "attention_chunk_size": 8192, "rope_theta": 500000.0,
    "use_scaled_rope": true, "nope_layer_interval": 4, "use_qk_norm": true,
    "attn_temperature_tuning": true, "moe_args": {"num_experts": 16, "capacity_factor": 1.0,
    "auto_scale_F": true, "top_k": 1, "interleave_moe_layer_step": 1}})",
                                         "params.json");
  EXPECT_EQ(scout.intermediate_size, 8192);
  EXPECT_EQ(scout.intermediate_size_mlp, 16384);
  EXPECT_EQ(scout.head_dim, 128);
  EXPECT_EQ(scout.rope_scaling, RopeScalingConfig{});
  EXPECT_EQ(scout.eos_token_ids, (std::vector<int64_t>{200001, 200007, 200008}));
}

// A Hugging Face folder of the goldens and the native one of the same weights.
struct Pair {
  const char* hf;
  const char* meta;
};

class MetaGoldens : public testing::TestWithParam<Pair> {};

TEST_P(MetaGoldens, HaveTheTensorsAndLogitsOfTheHuggingFaceForm) {
  const auto shared = test::shared_dir();
  if (!shared) GTEST_SKIP() << "needs ../shared/goldens";
  const auto hf_dir = *shared / "goldens" / GetParam().hf;
  const auto meta_dir = *shared / "goldens" / GetParam().meta;
  const DevicePtr device = Device::cpu();
  Config expected = read_hf_config(hf_dir);
  Config config = read_meta_config(meta_dir);
  const auto hf = io::open_sharded(hf_dir);
  const auto meta = open_meta_checkpoint(meta_dir, config);
  int vision = 0;
  for (const io::TensorInfo& info : hf->tensors()) {
    if (info.name.ends_with("gate_up_proj")) continue;  // compared through the logits
    ASSERT_TRUE(meta->has(info.name)) << info.name;
    EXPECT_TRUE(same_bits(meta->get(info.name, device), hf->get(info.name, device))) << info.name;
    vision += info.name.starts_with("vision_model.") ? 1 : 0;
  }
  EXPECT_GT(vision, 40);
  EXPECT_TRUE(same_bits(logits_of(TextModel(config, hf_weights(*meta, config, device))),
                        logits_of(TextModel(expected, hf_weights(*hf, expected, device)))));
  EXPECT_EQ(load_model(meta_dir, device).format, "meta");
  // A projector file written part by part from Meta's parts is that of the whole tower.
  const test::TempDir dir;
  const VisionConfig eyes = vision_config(expected, "config.json").value();
  const auto projector_file = [&](const std::vector<ExportTensor>& tensors) {
    const auto path = dir.path() / "mmproj.gguf";
    save_mmproj(path, eyes, tensors, DType::kF16, "eyes");
    return read_file(path);
  };
  const VisionWeights whole = hf_vision_weights(*hf, eyes, device);
  EXPECT_EQ(projector_file(hf_vision_tensors(eyes, *meta, device)),
            projector_file(hf_vision_tensors(eyes, whole)));
  // What params.json cannot say.
  for (Config* c : {&config, &expected}) {
    c->max_position_embeddings = 4096;
    c->bos_token_id.reset();
    c->eos_token_ids.clear();
    Json multimodal = Json::parse(c->multimodal_json);
    for (const char* key : {"boi_token_index", "eoi_token_index", "image_token_index"}) {
      multimodal.erase(key);
    }
    for (const char* key : {"attention_dropout", "initializer_range", "projector_dropout"}) {
      multimodal["vision_config"].erase(key);
    }
    c->multimodal_json = multimodal.dump();
  }
  EXPECT_EQ(config, expected);
}

INSTANTIATE_TEST_SUITE_P(All, MetaGoldens,
                         testing::Values(Pair{"maverick-tiny", "maverick-tiny/meta"},
                                         Pair{"maverick-tiny", "maverick-tiny/meta-mp2"},
                                         Pair{"scout-tiny/bf16", "scout-tiny/bf16/meta"}),
                         [](const auto& param) { return str("Pair", param.index); });

}  // namespace
}  // namespace corral::model
