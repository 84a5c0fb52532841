// Files whose parts contradict one another: each is one line that names what is wrong, and costs
// neither time nor memory.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <map>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "io/gguf.h"
#include "io/gguf_writer.h"
#include "model/gguf_checkpoint.h"
#include "model/hf_checkpoint.h"
#include "model/loaded_model.h"
#include "model/tiny_model.h"
#include "support/temp_dir.h"
#include "support/tensors.h"

namespace corral::model {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class HostileModel : public testing::Test {
 protected:
  std::string message(const std::filesystem::path& path) const {
    try {
      load_model(path, device);
    } catch (const Error& error) {
      EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << error.what();
      return error.what();
    }
    return "no error";
  }

  test::TempDir dir;
  DevicePtr device = test::test_device();
  Config config = test::tiny_config(false);
  TextModel model = test::tiny_model(config, device);
};

class HostileGguf : public HostileModel {
 protected:
  using Tensors = std::map<std::string, Tensor>;
  void SetUp() override {
    save_gguf(dir.path() / "good.gguf", config, model.weights(), nullptr, {.dtype = DType::kF32});
  }

  // The good file with a key left out or set, and its tensors changed.
  std::string with(const std::string& key, const std::function<void(io::GgufMetadata&)>& set,
                   const std::function<void(Tensors&)>& change = nullptr) {
    const io::GgufFile good(dir.path() / "good.gguf");
    io::GgufMetadata metadata;
    for (const io::GgufEntry& entry : good.metadata()) {
      if (entry.key != key) metadata.copy(entry);
    }
    if (set) set(metadata);
    Tensors tensors;
    for (const io::TensorInfo& info : good.tensors()) {
      tensors[info.name] = good.get(info.name, device);
    }
    if (change) change(tensors);
    io::GgufWriter writer(dir.path() / "bad.gguf", std::move(metadata));
    for (const auto& [name, tensor] : tensors) writer.declare(name, tensor.dtype(), tensor.shape());
    for (const auto& [name, tensor] : tensors) writer.write(name, tensor);
    writer.finish();
    return message(dir.path() / "bad.gguf");
  }
  std::string with_u32(const std::string& key, int64_t value) {
    return with(key, [&](io::GgufMetadata& m) { m.set_u32(key, value); });
  }
  std::string with_tensors(const std::function<void(Tensors&)>& change) {
    return with("", nullptr, change);
  }
};

TEST_F(HostileGguf, UnchangedIsAModel) { EXPECT_EQ(with("", nullptr), "no error"); }

TEST_F(HostileGguf, SizesThatContradictTheTensorsAreNamed_FactsCve20267482) {
  EXPECT_THAT(with_u32("llama4.embedding_length", 96), HasSubstr("the header's values need"));
  EXPECT_THAT(with_u32("llama4.expert_count", 5), HasSubstr("ffn_gate_inp.weight is [4, 80]"));
  EXPECT_THAT(with_u32("llama4.expert_feed_forward_length", 64), HasSubstr("exps.weight is"));
  EXPECT_THAT(with_u32("llama4.attention.head_count", 4), HasSubstr("attn_q.weight is"));
  EXPECT_THAT(with_u32("llama4.attention.key_length", 18), HasSubstr("attn_q.weight is"));
  EXPECT_THAT(with_u32("llama4.block_count", 3), HasSubstr("one entry a layer"));
}

TEST_F(HostileGguf, AbsurdCountsAreRefusedByTheirKey_FactsCve202653923) {
  const auto most = int64_t{0xFFFFFFFF};
  EXPECT_THAT(with_u32("llama4.block_count", most), HasSubstr("num_hidden_layers"));
  EXPECT_THAT(with_u32("llama4.expert_count", most), HasSubstr("num_local_experts"));
  EXPECT_THAT(with_u32("llama4.expert_used_count", 5), HasSubstr("num_experts_per_tok"));
  EXPECT_THAT(with_u32("llama4.embedding_length", most), HasSubstr("hidden_size"));
  EXPECT_THAT(with_u32("llama4.attention.head_count", most), HasSubstr("num_attention_heads"));
  EXPECT_THAT(with_u32("llama4.attention.head_count", 0), HasSubstr("num_attention_heads"));
  EXPECT_THAT(with_u32("llama4.attention.head_count_kv", 0), HasSubstr("num_key_value_heads"));
  EXPECT_THAT(with_u32("llama4.attention.key_length", most), HasSubstr("head_dim"));
  EXPECT_THAT(with_u32("llama4.feed_forward_length", 0), HasSubstr("intermediate_size"));
}

TEST_F(HostileGguf, AbsurdListsOfLayersAreRefused) {
  const std::string key = "corral.moe_layers";
  const auto listed = [&](const std::vector<uint32_t>& layers) {
    return with(key,
                [&](io::GgufMetadata& m) { m.set_array(key, std::span<const uint32_t>(layers)); });
  };
  EXPECT_THAT(listed(std::vector<uint32_t>(1 << 20, 1)), HasSubstr("moe_layers is 1048576"));
  EXPECT_THAT(listed({1, 4}), HasSubstr("moe_layers is 4"));
}

TEST_F(HostileGguf, TensorsOfTheWrongTypeAreNamed) {
  const auto integers = [&](const std::string& name) {
    return with_tensors([&](Tensors& tensors) {
      const Shape shape = tensors.at(name).shape();
      tensors[name] = Tensor::zeros(shape, DType::kI32, device);
    });
  };
  EXPECT_THAT(integers("blk.0.attn_q.weight"), HasSubstr("blk.0.attn_q.weight holds i32"));
  EXPECT_THAT(integers("blk.1.ffn_up_exps.weight"), HasSubstr("ffn_up_exps.weight holds i32"));
  EXPECT_THAT(integers("token_embd.weight"), HasSubstr("token_embd.weight holds i32"));
  EXPECT_THAT(integers("output_norm.weight"), HasSubstr("output_norm.weight holds i32"));
}

TEST_F(HostileGguf, MissingAndTurnedTensorsAreNamed) {
  for (const char* name : {"blk.2.attn_v.weight", "output_norm.weight",
                           "blk.1.ffn_gate_exps.weight", "token_embd.weight"}) {
    EXPECT_THAT(with_tensors([&](Tensors& tensors) { tensors.erase(name); }), HasSubstr(name));
  }
  EXPECT_THAT(with_tensors([&](Tensors& tensors) {
                Tensor& down = tensors.at("blk.0.ffn_down.weight");
                down = down.view({down.dim(1), down.dim(0)});
              }),
              HasSubstr("blk.0.ffn_down.weight is [256, 80]"));
}

class HostileFolder : public HostileModel {
 protected:
  void SetUp() override { save_hf(path(), config, model.weights(), DType::kF32); }
  std::filesystem::path path() const { return dir.path() / "m"; }
  std::string with(const std::string& key, const Json& value) {
    Json json = Json::parse(config_json(config));
    json[key] = value;
    write_file_atomically(path() / "config.json", json.dump());
    return message(path());
  }
};

TEST_F(HostileFolder, ConfigThatContradictsTheTensorsIsNamed) {
  EXPECT_EQ(with("vocab_size", 320), "no error");
  EXPECT_THAT(with("hidden_size", 81), HasSubstr("the config needs [320, 81]"));
  EXPECT_THAT(with("num_local_experts", 8), HasSubstr("feed_forward.router.weight"));
  EXPECT_THAT(with("intermediate_size", 64), HasSubstr("gate_up_proj"));
  EXPECT_THAT(with("num_key_value_heads", 5), HasSubstr("k_proj.weight"));
  EXPECT_EQ(with("tie_word_embeddings", true), "no error");
}

TEST_F(HostileFolder, AbsurdConfigValuesAreRefusedByTheirKey) {
  for (const char* key : {"vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads",
                          "head_dim", "intermediate_size", "intermediate_size_mlp",
                          "num_local_experts", "num_experts_per_tok", "max_position_embeddings"}) {
    for (const Json& value : {Json(0), Json(-1), Json(9e18), Json(1e300), Json("many"),
                              Json::array({1}), Json(18446744073709551615u)}) {
      EXPECT_THAT(with(key, value), AllOf(HasSubstr("config.json"), HasSubstr(key)))
          << key << " " << value.dump();
    }
  }
  EXPECT_THAT(with("moe_layers", std::vector<int64_t>(5, 1)), HasSubstr("moe_layers is 5"));
  EXPECT_THAT(with("no_rope_layers", {1, 1, 1, 7}), HasSubstr("no_rope_layers is 7"));
  EXPECT_THAT(with("rms_norm_eps", 0), HasSubstr("rms_norm_eps"));
  EXPECT_THAT(with("rope_theta", -5), HasSubstr("rope_theta"));
}

}  // namespace
}  // namespace corral::model
