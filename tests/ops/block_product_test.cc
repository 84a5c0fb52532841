#include "ops/matmul/block_product.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "ops/embedding/embedding.h"
#include "ops/grouped_linear/grouped_linear.h"
#include "ops/linear/linear.h"
#include "quant/dense.h"
#include "support/blocks.h"
#include "support/op_case.h"

namespace corral::ops {
namespace {

using quant::LinearWeight;
using quant::Precision;

class BlockProduct : public ::testing::TestWithParam<DType> {};

// The products may quantize rows of x to bytes, as q8_0's does.
constexpr double kRoundingOfX = 0.01;

TEST_P(BlockProduct, IsThatOfTheDequantizedMatrix) {
  const DType dtype = GetParam();
  for (const simd::Isa isa : test::machine_isas()) {
    for (const auto& [m, n, k] : {std::array<int64_t, 3>{1, 1, 256}, {2, 33, 512}, {9, 70, 256}}) {
      const DevicePtr device = test::test_device(isa, 2);
      const Tensor x = test::randn({m, k}, 1, device);
      const LinearWeight w = LinearWeight::out_in(test::random_blocks({n, k}, dtype, 2, device));
      const Tensor dense = quant::dense_f32(w);
      const Tensor wanted = linear(x, LinearWeight::out_in(dense), Precision::kF32);
      const Tensor y = linear(x, w, Precision::kBF16);
      EXPECT_LE(test::relative_error(test::to_double(y), test::to_double(wanted)), kRoundingOfX)
          << simd::isa_name(isa) << " " << m << "x" << n << "x" << k;
    }
  }
}

TEST_P(BlockProduct, HasTheSameBitsForEveryCutAndThreadCount) {
  const DType dtype = GetParam();
  const int64_t M = 9;
  const int64_t N = 70;
  const int64_t K = 512;
  for (const simd::Isa isa : test::machine_isas()) {
    std::optional<Tensor> first;
    for (const int threads : {1, 2, 3}) {
      const DevicePtr device = test::test_device(isa, threads);
      const Tensor x = test::randn({M, K}, 1, device);
      const LinearWeight w = LinearWeight::out_in(test::random_blocks({N, K}, dtype, 2, device));
      const Tensor whole = linear(x, w, Precision::kF32);
      if (!first) first = whole;
      EXPECT_TRUE(test::same_bits(*first, whole)) << threads << " threads";
      for (int64_t row = 0; row < M; ++row) {
        const Tensor one = linear(x.rows(row, row + 1), w, Precision::kF32);
        EXPECT_TRUE(test::same_bits(one, whole.rows(row, row + 1))) << "row " << row;
      }
    }
  }
}

TEST_P(BlockProduct, OfAStackIsThatOfEachExpert) {
  const DevicePtr device = test::test_device(simd::detect_isa(), 3);
  const int64_t K = 256;
  const Tensor x = test::randn({11, K}, 3, device);
  const LinearWeight stack =
      LinearWeight::out_in(test::random_blocks({5, 40, K}, GetParam(), 4, device));
  const std::vector<int64_t> offsets = {0, 3, 3, 10, 11, 11};
  const Tensor y = grouped_linear(x, stack, offsets, Precision::kF32);
  for (int64_t e = 0; e < 5; ++e) {
    const int64_t begin = offsets[static_cast<size_t>(e)];
    const int64_t end = offsets[static_cast<size_t>(e) + 1];
    if (begin == end) continue;
    const LinearWeight one = LinearWeight::out_in(stack.data.rows(e, e + 1).view({40, K}));
    EXPECT_TRUE(
        test::same_bits(linear(x.rows(begin, end), one, Precision::kF32), y.rows(begin, end)));
  }
}

TEST_P(BlockProduct, OfNothingIsZeros) {
  const DevicePtr device = test::test_device();
  const LinearWeight none = LinearWeight::out_in(Tensor({5, 0}, GetParam(), device));
  const Tensor y = linear(test::randn({3, 0}, 1, device), none, Precision::kF32);
  for (const double value : test::to_double(y)) EXPECT_EQ(value, 0);
  const LinearWeight w = LinearWeight::out_in(test::random_blocks({5, 256}, GetParam(), 2, device));
  EXPECT_EQ(linear(Tensor({0, 256}, DType::kF32, device), w, Precision::kF32).shape(),
            (Shape{0, 5}));
}

TEST_P(BlockProduct, HasAnEmbeddingOfTheSameValues) {
  const DevicePtr device = test::test_device();
  const Tensor table = test::random_blocks({6, 512}, GetParam(), 5, device);
  const Tensor dense = quant::dense_f32(LinearWeight::out_in(table));
  const std::vector<int32_t> tokens = {5, 0, 3, 3};
  EXPECT_TRUE(test::same_bits(embedding(tokens, table), embedding(tokens, dense)));
}

INSTANTIATE_TEST_SUITE_P(Types, BlockProduct, ::testing::ValuesIn(test::block_types()),
                         [](const auto& type) { return std::string(dtype_name(type.param)); });

}  // namespace
}  // namespace corral::ops
