#include "ops/embedding/embedding.h"

#include <gtest/gtest.h>

#include <cstring>

#include "quant/q8_0.h"
#include "support/op_case.h"

namespace corral::ops {
namespace {

using test::randn;

std::vector<double> reference(const std::vector<int32_t>& tokens, const test::Values& in,
                              int64_t D) {
  std::vector<double> y;
  for (const int32_t id : tokens) {
    const auto row = in[0].begin() + id * D;
    y.insert(y.end(), row, row + D);
  }
  return y;
}

std::vector<int32_t> some_tokens(int64_t T, int64_t V) {
  std::vector<int32_t> tokens;
  const Philox random(3);
  for (int64_t t = 0; t < T; ++t) {  // squared: a few ids are frequent
    const double u = random.uniform(static_cast<uint64_t>(t));
    tokens.push_back(static_cast<int32_t>(u * u * static_cast<double>(V)));
  }
  return tokens;
}

class Embedding : public ::testing::TestWithParam<DType> {};

TEST_P(Embedding, MatchesReferenceAndFiniteDifferences) {
  for (const int64_t D : {1, 5, 37}) {
    for (const int64_t T : {0, 1, 40}) {
      const std::vector<int32_t> tokens = some_tokens(T, 7);
      const test::OpCase c{.name = str("embedding D = ", D, ", T = ", T),
                           .inputs = {test::to_dtype(randn({7, D}, 1), GetParam())},
                           .op = [tokens](auto& in) { return embedding(tokens, in[0]); },
                           .reference = [tokens, D](auto& in) { return reference(tokens, in, D); }};
      check_forward(c);
      check_grad(c);
    }
  }
}
INSTANTIATE_TEST_SUITE_P(DTypes, Embedding,
                         ::testing::Values(DType::kF32, DType::kF16, DType::kBF16),
                         [](const auto& test) { return std::string(dtype_name(test.param)); });

// Also the test of the vector conversions of simd/vec.h.
TEST(Embedding, WidensEveryPatternOfTheHalfTypesExactly) {
  for (const simd::Isa isa : test::machine_isas()) {
    const DevicePtr device = test::test_device(isa, 1);
    for (const DType dtype : {DType::kF16, DType::kBF16}) {
      Tensor table({1, 65536}, dtype, device);
      for (int64_t i = 0; i < 65536; ++i)
        table.mutable_data<uint16_t>()[i] = static_cast<uint16_t>(i);
      const std::vector<int32_t> tokens = {0};
      const Tensor y = embedding(tokens, table);
      const Tensor wanted = to_f32(table);
      for (size_t i = 0; i < 65536; ++i) {
        const float got = y.values<float>()[i];
        const float want = wanted.values<float>()[i];
        ASSERT_TRUE(got == want || (got != got && want != want))
            << dtype << " " << i << " on " << simd::isa_name(isa);
      }
    }
  }
}

TEST(Embedding, ReadsQ8Blocks) {
  const DevicePtr device = test::test_device();
  const Tensor dense = randn({5, 64}, 1, device);
  Tensor table({5, 64}, DType::kQ8_0, device);
  quant::quantize_row_q8_0(dense.data<float>(), table.mutable_data<std::byte>(), 5 * 64);
  std::vector<float> wanted(5 * 64);
  quant::dequantize_row_q8_0(table.data<std::byte>(), wanted.data(), 5 * 64);
  const std::vector<int32_t> tokens = {4, 0, 4, 2};
  const Tensor y = embedding(tokens, table);
  for (size_t t = 0; t < tokens.size(); ++t) {
    EXPECT_EQ(std::memcmp(y.data<float>() + t * 64, &wanted[static_cast<size_t>(tokens[t]) * 64],
                          64 * sizeof(float)),
              0);
  }
}

TEST(Embedding, GradientHasTheSameBitsForAnyNumberOfThreads) {
  const std::vector<int32_t> tokens = some_tokens(3000, 50);
  for (const simd::Isa isa : test::machine_isas()) {
    Tensor first;
    for (const int threads : {1, 2, 3, 7}) {
      const DevicePtr device = test::test_device(isa, threads);
      const Tensor table = autograd::parameter(randn({50, 24}, 1, device));
      autograd::backward(embedding(tokens, table), randn({3000, 24}, 2, device));
      const Tensor d = autograd::gradient(table);
      if (!first.defined()) first = d;
      EXPECT_TRUE(test::same_bits(first, d)) << simd::isa_name(isa) << ", " << threads;
    }
  }
}

TEST(Embedding, OneIdForAllTokensIsSummedWhole) {
  const std::vector<int32_t> tokens(5000, 1);
  for (const int threads : {1, 2, 3}) {
    const DevicePtr device = test::test_device(simd::detect_isa(), threads);
    const Tensor table = autograd::parameter(Tensor::zeros({3, 8}, DType::kF32, device));
    const Tensor ones = Tensor::from(std::vector<float>(5000 * 8, 1.0f), {5000, 8}, device);
    autograd::backward(embedding(tokens, table), ones);
    const Tensor d = autograd::gradient(table);
    for (size_t i = 0; i < 24; ++i) {
      EXPECT_EQ(d.values<float>()[i], i / 8 == 1 ? 5000.0f : 0.0f);
    }
  }
}

TEST(EmbeddingErrors, NameTheIdAndTheVocabulary) {
  const Tensor table = randn({7, 4}, 1);
  for (const int32_t bad : {7, -1, INT32_MAX}) {
    const std::vector<int32_t> tokens = {0, 6, bad};
    try {
      embedding(tokens, table);
      FAIL();
    } catch (const Error& error) {
      EXPECT_EQ(std::string(error.what()),
                str("embedding: token 2 has id ", bad, ", the vocabulary has 7"));
    }
  }
  EXPECT_THROW(embedding({}, randn({7}, 1)), ShapeError);
  EXPECT_THROW(embedding({}, Tensor::zeros({2, 2}, DType::kI32, test::test_device())),
               NotSupported);
}

}  // namespace
}  // namespace corral::ops
