#include "ops/swiglu/swiglu.h"

#include <gtest/gtest.h>

#include <cmath>
#include <utility>

#include "ops/grouped_linear/grouped_linear.h"
#include "ops/linear/linear.h"
#include "ops/silu_mul/silu_mul.h"
#include "support/blocks.h"
#include "support/op_case.h"

namespace corral::ops {
namespace {

using quant::LinearWeight;
using quant::Precision;
using test::randn;

// From the definition, row by row; w is [E, F, K].
std::vector<double> reference(const test::Values& in, const std::vector<int64_t>& offsets,
                              int64_t F, int64_t K) {
  std::vector<double> h;
  for (size_t e = 0; e + 1 < offsets.size(); ++e) {
    for (int64_t row = offsets[e]; row < offsets[e + 1]; ++row) {
      for (int64_t f = 0; f < F; ++f) {
        double gate = 0;
        double up = 0;
        for (int64_t k = 0; k < K; ++k) {
          const auto at = static_cast<size_t>((static_cast<int64_t>(e) * F + f) * K + k);
          const double x = in[0][static_cast<size_t>(row * K + k)];
          gate += x * in[1][at];
          up += x * in[2][at];
        }
        h.push_back(gate / (1 + std::exp(-gate)) * up);
      }
    }
  }
  return h;
}

TEST(Swiglu, MatchesReferenceAndFiniteDifferences) {
  constexpr int64_t kF = 11;
  constexpr int64_t kK = 6;
  const test::OpCase c{.name = "swiglu",
                       .inputs = {randn({5, kK}, 1), randn({kF, kK}, 2), randn({kF, kK}, 3)},
                       .op =
                           [](auto& in) {
                             return swiglu(in[0], LinearWeight::out_in(in[1]),
                                           LinearWeight::out_in(in[2]), Precision::kF32);
                           },
                       .reference =
                           [](auto& in) {
                             return reference(in, {0, 5}, kF, kK);
                           },
                       .terms = kK};
  check_forward(c);
  check_grad(c);
}

TEST(GroupedSwiglu, MatchesReferenceAndFiniteDifferences) {
  constexpr int64_t kF = 5;
  constexpr int64_t kK = 7;
  const std::vector<int64_t> offsets = {0, 2, 2, 6};
  const test::OpCase c{.name = "grouped_swiglu",
                       .inputs = {randn({6, kK}, 1), randn({3, kF, kK}, 2), randn({3, kF, kK}, 3)},
                       .op =
                           [offsets](auto& in) {
                             return grouped_swiglu(in[0], LinearWeight::out_in(in[1]),
                                                   LinearWeight::out_in(in[2]), offsets,
                                                   Precision::kF32);
                           },
                       .reference = [offsets](auto& in) { return reference(in, offsets, kF, kK); },
                       .terms = kK};
  check_forward(c);
  check_grad(c);
}

LinearWeight stack(DType dtype, int64_t experts, uint64_t seed, int64_t F = 24) {
  const Shape shape = {experts, F, 256};
  return LinearWeight::out_in(is_block(dtype) ? test::random_blocks(shape, dtype, seed)
                                              : test::to_dtype(randn(shape, seed), dtype));
}

// Types of which both products are one call, and a pair that cannot be.
constexpr std::pair<DType, DType> kTypes[] = {{DType::kF32, DType::kF32},
                                              {DType::kBF16, DType::kF16},
                                              {DType::kQ4_0, DType::kQ4_0},
                                              {DType::kQ4_K, DType::kQ6_K},
                                              {DType::kQ8_0, DType::kBF16}};

TEST(Swiglu, HasTheBitsOfItsParts) {
  for (const auto& [first, second] : kTypes) {
    for (const int64_t T : {0, 1, 3, 40}) {
      const Tensor x = randn({T, 256}, 1);
      LinearWeight gate = stack(first, 1, 2);
      LinearWeight up = stack(second, 1, 3);
      const Tensor parts =
          silu_mul(linear(x, gate, Precision::kBF16), linear(x, up, Precision::kBF16));
      EXPECT_TRUE(test::same_bits(swiglu(x, gate, up, Precision::kBF16), parts)) << first << T;
    }
  }
}

TEST(GroupedSwiglu, HasTheBitsOfItsParts) {
  const std::vector<int64_t> offsets = {0, 2, 2, 13, 14};
  const Tensor x = randn({14, 256}, 1);
  for (const auto& [first, second] : kTypes) {
    const LinearWeight gate = stack(first, 4, 2);
    const LinearWeight up = stack(second, 4, 3);
    const Tensor parts = silu_mul(grouped_linear(x, gate, offsets, Precision::kF32),
                                  grouped_linear(x, up, offsets, Precision::kF32));
    EXPECT_TRUE(test::same_bits(grouped_swiglu(x, gate, up, offsets, Precision::kF32), parts))
        << first;
  }
}

// A shared expert and those that rows are sorted by: few rows are one call, some of whose products
// may unpack B and others not, many are not, nor are layers of which only one is in blocks.
TEST(GroupedSwiglu, OfSeveralLayersHasTheBitsOfEach) {
  for (const auto& [first, second] : kTypes) {
    for (const int64_t T : {0, 1, 3, 12, 32, 40}) {
      const Tensor x = randn({T, 256}, 1);
      const Tensor rows = randn({2 * T, 256}, 4);
      const LinearWeight shared[] = {stack(first, 1, 2, 200), stack(first, 1, 3, 200)};
      const LinearWeight experts[] = {stack(second, 3, 5, 200), stack(second, 3, 6, 200)};
      const std::vector<int64_t> all = {0, T};
      const std::vector<int64_t> offsets = {0, T / 4, T / 4, 2 * T};
      const auto [y, z] =
          grouped_swiglu({{x, shared[0], shared[1], all}, {rows, experts[0], experts[1], offsets}},
                         Precision::kF32);
      EXPECT_TRUE(test::same_bits(y, grouped_swiglu(x, shared[0], shared[1], all, Precision::kF32)))
          << first << second << T;
      EXPECT_TRUE(test::same_bits(
          z, grouped_swiglu(rows, experts[0], experts[1], offsets, Precision::kF32)))
          << first << second << T;
    }
  }
}

TEST(GroupedSwiglu, OfSeveralLayersHasTheirGradients) {
  constexpr int64_t kF = 5;
  constexpr int64_t kK = 7;
  const std::vector<int64_t> all = {0, 4};
  const std::vector<int64_t> offsets = {0, 1, 4};
  const auto op = [&](auto& in) {
    auto [y, z] =
        grouped_swiglu({{in[0], LinearWeight::out_in(in[1]), LinearWeight::out_in(in[2]), all},
                        {in[3], LinearWeight::out_in(in[4]), LinearWeight::out_in(in[5]), offsets}},
                       Precision::kF32);
    return silu_mul(std::move(y), z);
  };
  const auto by_definition = [&](const test::Values& in) {
    std::vector<double> y = reference({in[0], in[1], in[2]}, all, kF, kK);
    const std::vector<double> z = reference({in[3], in[4], in[5]}, offsets, kF, kK);
    for (size_t i = 0; i < y.size(); ++i) y[i] = y[i] / (1 + std::exp(-y[i])) * z[i];
    return y;
  };
  const test::OpCase c{.name = "grouped_swiglu",
                       .inputs = {randn({4, kK}, 1), randn({kF, kK}, 2), randn({kF, kK}, 3),
                                  randn({4, kK}, 4), randn({2, kF, kK}, 5), randn({2, kF, kK}, 6)},
                       .op = op,
                       .reference = by_definition,
                       .terms = kK};
  check_forward(c);
  check_grad(c);
}

TEST(Swiglu, OfAnyRank) {
  const Tensor x = randn({2, 3, 256}, 1);
  const LinearWeight gate = stack(DType::kF32, 1, 2);
  const LinearWeight up = stack(DType::kF32, 1, 3);
  const Tensor h = swiglu(x, gate, up, Precision::kF32);
  EXPECT_EQ(h.shape(), (Shape{2, 3, 24}));
  EXPECT_TRUE(
      test::same_bits(h.view({6, 24}), swiglu(x.view({6, 256}), gate, up, Precision::kF32)));
}

template <class Op>
void expect_shape_error(const Op& op, const char* message) {
  try {
    op();
    FAIL() << "no error, expected: " << message;
  } catch (const ShapeError& error) {
    EXPECT_STREQ(error.what(), message);
  }
}

TEST(SwigluErrors, NameWhatTheyGot) {
  const auto weight = [](int64_t F, int64_t K) { return LinearWeight::out_in(randn({F, K}, 1)); };
  const Tensor x = randn({4, 8}, 1);
  expect_shape_error([&] { swiglu(x, weight(3, 8), weight(4, 8), Precision::kF32); },
                     "swiglu: gate is 1 x 3, up is 1 x 4");
  expect_shape_error([&] { swiglu(x, weight(3, 8), weight(3, 7), Precision::kF32); },
                     "swiglu: x is [4, 8], w needs 7 in the last axis");
  expect_shape_error(
      [&] {
        grouped_swiglu(x, weight(3, 8), weight(3, 8), {{0, 3}}, Precision::kF32);
      },
      "swiglu: offsets must ascend from 0 to 4");
  const std::vector<int64_t> all = {0, 4};
  const LinearWeight good = weight(3, 8);
  const LinearWeight bad = weight(3, 7);
  expect_shape_error(
      [&] {
        grouped_swiglu({{x, good, good, all}, {x, good, bad, all}}, Precision::kF32);
      },
      "swiglu: x is [4, 8], w needs 7 in the last axis");
}

}  // namespace
}  // namespace corral::ops
