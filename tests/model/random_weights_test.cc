#include "model/random_weights.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <map>
#include <set>
#include <string>

#include "io/convert_dtype.h"
#include "model/initialise.h"
#include "model/tiny_model.h"
#include "support/tensors.h"

namespace corral::model {
namespace {

using test::same_bits;

// Rows of 1280 and 1024 values, which are put together from runs, and a last run of 128.
Config wide_config() {
  Config c = test::tiny_config();
  c.hidden_size = 1408;
  c.num_attention_heads = 4;
  c.num_key_value_heads = 1;
  c.head_dim = 16;
  c.intermediate_size = 1024;
  c.num_local_experts = 2;
  c.num_hidden_layers = 1;
  c.no_rope_layers.clear();
  c.moe_layers.clear();
  c.normalise();
  return c;
}

Tensor joined(const ExportTensor& tensor) {
  const Tensor first = tensor.make(0);
  Tensor whole(tensor.shape, first.dtype(), first.device());
  auto* to = whole.mutable_data<std::byte>();
  for (int64_t part = 0; part < tensor.parts; ++part) {
    const Tensor rows = tensor.make(part);
    std::memcpy(to, rows.data<std::byte>(), static_cast<size_t>(rows.size_bytes()));
    to += rows.size_bytes();
  }
  return whole;
}

std::map<std::string, Tensor> by_name(const std::vector<ExportTensor>& list) {
  std::map<std::string, Tensor> tensors;
  for (const ExportTensor& tensor : list) tensors[tensor.name] = joined(tensor);
  return tensors;
}

TEST(RandomWeights, OfShortRowsAreThoseThatTrainingStartsFrom) {
  const Config config = test::tiny_config(false);
  const DevicePtr device = test::test_device();
  const auto made = RandomWeights(config, 3, device).hf(DType::kF32);
  const auto started = initialise(config, 3, device);
  ASSERT_EQ(made.size(), started.size());
  for (size_t i = 0; i < made.size(); ++i) {
    EXPECT_TRUE(same_bits(joined(made[i]), started[i])) << made[i].name;
  }
}

TEST(RandomWeights, AreTheSameForAnyThreadsAndOtherForAnotherSeed) {
  const Config config = wide_config();
  const auto one = by_name(RandomWeights(config, 3, test::test_device(simd::detect_isa(), 1))
                               .gguf(TypeMix(DType::kQ8_0)));
  const auto three = by_name(RandomWeights(config, 3, test::test_device(simd::detect_isa(), 3))
                                 .gguf(TypeMix(DType::kQ8_0)));
  const auto other = by_name(RandomWeights(config, 4, test::test_device(simd::detect_isa(), 3))
                                 .gguf(TypeMix(DType::kQ8_0)));
  for (const auto& [name, tensor] : one) {
    EXPECT_TRUE(same_bits(tensor, three.at(name))) << name;
    EXPECT_EQ(same_bits(tensor, other.at(name)), tensor.rank() == 1) << name;
  }
}

TEST(RandomWeights, AreTheSameModelInBothFormsAndEveryType) {
  const Config config = wide_config();
  const RandomWeights weights(config, 3, test::test_device());
  const auto hf = by_name(weights.hf(DType::kF32));
  const auto gguf = by_name(weights.gguf(TypeMix(DType::kF32)));
  const auto q4_k = by_name(weights.gguf(TypeMix(DType::kQ4_K)));

  const Tensor& fused = hf.at("model.layers.0.feed_forward.experts.gate_up_proj");
  const Tensor& gate = gguf.at("blk.0.ffn_gate_exps.weight");
  const Tensor& up = gguf.at("blk.0.ffn_up_exps.weight");
  const int64_t F = config.intermediate_size;
  const int64_t D = config.hidden_size;
  for (int64_t e = 0; e < 2; ++e) {
    for (const auto& [f, d] : {std::pair{0, 0}, {1023, 1407}, {17, 255}, {500, 256}}) {
      const float* row = fused.data<float>() + (e * D + d) * 2 * F;
      EXPECT_EQ(row[f], gate.data<float>()[(e * F + f) * D + d]);
      EXPECT_EQ(row[F + f], up.data<float>()[(e * F + f) * D + d]);
    }
  }
  EXPECT_TRUE(same_bits(hf.at("model.embed_tokens.weight"), gguf.at("token_embd.weight")));
  const std::string down = "blk.0.ffn_down_exps.weight";
  EXPECT_TRUE(same_bits(q4_k.at(down), io::convert(gguf.at(down), DType::kQ4_K)));
  const std::string q = "blk.0.attn_q.weight";
  EXPECT_EQ(q4_k.at(q).dtype(), DType::kQ5_0);  // 1408 is no multiple of 256
  EXPECT_TRUE(same_bits(q4_k.at(q), io::convert(gguf.at(q), DType::kQ5_0)));
}

TEST(RandomWeights, HaveTheDeviationsOfTheStartOfTraining) {
  const Config config = wide_config();
  const auto tensors = RandomWeights(config, 3, test::test_device()).hf(DType::kF32);
  const auto infos = parameter_list(config);
  for (size_t i = 0; i < infos.size(); ++i) {
    if (infos[i].role == Role::kNorm) continue;
    const Tensor values = joined(tensors[i]);
    double sum = 0;
    double squares = 0;
    for (const float x : values.values<float>()) {
      sum += static_cast<double>(x);
      squares += static_cast<double>(x) * static_cast<double>(x);
    }
    const auto n = static_cast<double>(values.numel());
    const double expected = initial_std(config, infos[i]);
    EXPECT_NEAR(std::sqrt(squares / n), expected, 0.05 * expected) << infos[i].name;
    EXPECT_NEAR(sum / n, 0, 0.05 * expected) << infos[i].name;
  }
}

TEST(RandomWeights, HaveNoTwoEqualRows) {
  const Config config = wide_config();
  std::set<std::string> rows;
  int64_t count = 0;
  for (const ExportTensor& tensor :
       RandomWeights(config, 3, test::test_device()).gguf(TypeMix(DType::kF32))) {
    if (tensor.shape.rank() < 2 || tensor.shape[-1] < 1024) continue;
    const Tensor values = joined(tensor);
    const int64_t row_bytes = bytes_of(DType::kF32, tensor.shape[-1]);
    const auto* at = reinterpret_cast<const char*>(values.data<std::byte>());
    for (int64_t offset = 0; offset < values.size_bytes(); offset += row_bytes, ++count) {
      rows.emplace(at + offset, static_cast<size_t>(row_bytes));
    }
  }
  EXPECT_EQ(std::ssize(rows), count);
}

}  // namespace
}  // namespace corral::model
