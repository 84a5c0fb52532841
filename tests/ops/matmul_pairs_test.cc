#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <vector>

#include "base/error.h"
#include "ops/matmul/matmul.h"
#include "support/blocks.h"
#include "support/interleaved.h"

namespace corral::ops {
namespace {

using quant::LinearWeight;
using quant::Precision;
using test::randn;

struct Types {
  DType first, second;
};
// Also two of which only one unpacks B at some sizes, and two cut at other columns alone.
constexpr Types kPairTypes[] = {{DType::kF32, DType::kF32},   {DType::kBF16, DType::kF32},
                                {DType::kQ4_0, DType::kQ4_0}, {DType::kQ4_K, DType::kQ6_K},
                                {DType::kQ8_0, DType::kQ2_K}, {DType::kQ8_0, DType::kQ8_0}};

struct PairSize {
  int64_t m, n, k;
};
// None, one, few and many rows; columns of one run, of several, and of several pieces a run.
constexpr PairSize kPairSizes[] = {{0, 64, 256}, {1, 24, 256},   {1, 2080, 512}, {2, 0, 256},
                                   {3, 7, 256},  {8, 2080, 512}, {12, 200, 256}, {40, 1100, 256}};

LinearWeight weight(const Shape& shape, DType dtype, uint64_t seed, const DevicePtr& device) {
  LinearWeight w =
      LinearWeight::out_in(is_block(dtype) ? test::random_blocks(shape, dtype, seed, device)
                                           : test::to_dtype(randn(shape, seed, device), dtype));
  const quant::Interleaving lying = interleaving_of(device->isa(), dtype);
  // Every other lies as the kernels like it best, where rows allow.
  if (seed % 2 == 0 && lying && shape[1] % 2 == 0 && shape[0] > 0 && shape[0] % lying.rows == 0) {
    w = test::interleaved(w, lying);
  }
  return w;
}

MatrixView rows_of_weight(const LinearWeight& w) {
  return {w.data.data<std::byte>(),
          w.data.dtype(),
          w.out_features,
          w.in_features,
          w.stride_out,
          w.stride_in,
          w.interleaving};
}

struct Factors {
  Factors(const DevicePtr& device, const PairSize& size, const Types& types)
      : x(randn({size.m, size.k}, 1, device)), start(randn({size.m, size.n}, 2, device)) {
    for (const uint64_t seed : {10U, 11U, 12U, 13U}) {
      weights.push_back(
          weight({size.n, size.k}, seed < 12 ? types.first : types.second, seed, device));
    }
  }
  Tensor x;
  Tensor start;  // of results
  std::vector<LinearWeight> weights;
};

/// Pairs of products of these factors, each with a result of its own.
struct Pairs {
  Pairs(const Factors& factors, bool accumulate) {
    // A pair of each type with itself, then each with the other.
    for (const size_t i : {0U, 1U, 2U, 3U, 0U, 2U, 3U, 1U}) {
      results.push_back(factors.start.clone());
      Tensor& y = results.back();
      const Tensor& x = factors.x;
      products.push_back({.a_MK = {x.data<float>(), x.dtype(), x.dim(0), x.dim(1), x.dim(1), 1},
                          .b_NK = rows_of_weight(factors.weights[i]),
                          .c_MN = {y.mutable_data<float>(), y.dim(0), y.dim(1), y.dim(1), 1},
                          .accumulate = accumulate});
    }
  }
  std::vector<Product> products;
  std::vector<Tensor> results;
};

/// What joining leaves in the first of a pair: it tells both numbers, and how often they met.
float joined(float first, float second) { return 2 * first - second; }

constexpr auto join_area = [](const Product& first, const Product& second, const Area& area) {
  for (int64_t i = area.row; i < area.row + area.rows; ++i) {
    for (int64_t j = area.col; j < area.col + area.cols; ++j) {
      float& to = first.c_MN.data[i * first.c_MN.row_stride + j];
      to = joined(to, second.c_MN.data[i * second.c_MN.row_stride + j]);
    }
  }
};

class MatmulPairs : public ::testing::TestWithParam<simd::Isa> {};

TEST_P(MatmulPairs, JoinEveryNumberOnceWhenBothAreThere) {
  for (const Types& types : kPairTypes) {
    for (const PairSize& size : kPairSizes) {
      const Factors factors(test::test_device(GetParam(), 1), size, types);
      for (const int threads : {1, 2, 3}) {
        const DevicePtr device = test::test_device(GetParam(), threads);
        const Pairs wanted(factors, threads == 2);
        const Pairs got(factors, threads == 2);
        matmul(*device, wanted.products, Precision::kBF16);
        matmul_pairs(*device, got.products, Precision::kBF16, join_area);
        for (size_t i = 0; i < wanted.products.size(); i += 2) {
          join_area(wanted.products[i], wanted.products[i + 1], {0, size.m, 0, size.n});
          for (const size_t j : {i, i + 1}) {
            ASSERT_TRUE(test::same_bits(got.results[j], wanted.results[j]))
                << types.first << " " << types.second << " " << Shape{size.m, size.n, size.k}
                << " product " << j << ", " << threads << " threads";
          }
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Isas, MatmulPairs, ::testing::ValuesIn(test::machine_isas()),
                         [](const auto& isa) { return std::string(simd::isa_name(isa.param)); });

TEST(MatmulPairsOfNothing, AreSumsOfNothingJoined) {
  const DevicePtr device = test::test_device(simd::Isa::kPortable, 2);
  const Factors nothing(device, {300, 200, 0}, {DType::kF32, DType::kF32});
  const Pairs pairs(nothing, false);
  std::atomic<int64_t> met{0};
  matmul_pairs(*device, pairs.products, Precision::kF32,
               [&](const Product& first, const Product&, const Area& area) {
                 EXPECT_EQ(first.c_MN.data[area.row * first.c_MN.row_stride + area.col], 0);
                 met += area.rows * area.cols;
               });
  EXPECT_EQ(met, 4 * 300 * 200);
}

TEST(MatmulPairsErrors, NameSizesThatDiffer) {
  const DevicePtr device = test::test_device(simd::Isa::kPortable, 2);
  const Factors of_small(device, {2, 8, 32}, {DType::kF32, DType::kF32});
  const Factors of_large(device, {2, 9, 32}, {DType::kF32, DType::kF32});
  const Pairs small(of_small, false);
  const Pairs large(of_large, false);
  const auto multiply = [&](std::span<const Product> products) {
    matmul_pairs(*device, products, Precision::kF32, join_area);
  };
  const std::vector<Product> unequal = {small.products[0], large.products[0]};
  EXPECT_THAT([&] { multiply(unequal); }, ::testing::ThrowsMessage<ShapeError>(::testing::HasSubstr(
                                              "a pair of [2, 8] over 32 and [2, 9] over 32")));
  EXPECT_THROW(multiply(std::span(small.products).first(3)), ShapeError);
}

}  // namespace
}  // namespace corral::ops
