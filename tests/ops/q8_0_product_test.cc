#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"
#include "ops/grouped_linear/grouped_linear.h"
#include "ops/linear/linear.h"
#include "quant/dense.h"
#include "quant/q8_0.h"
#include "support/op_case.h"

namespace corral::ops {
namespace {

using quant::LinearWeight;
using quant::Precision;

// Random blocks with the shape [rows, K] or [E, rows, K].
Tensor q8(const Shape& shape, uint64_t seed, const DevicePtr& device) {
  const Tensor values = test::copy_to(test::randn(shape, seed), device);
  Tensor blocks(shape, DType::kQ8_0, device);
  quant::quantize_row_q8_0(values.data<float>(), blocks.mutable_data<std::byte>(), values.numel());
  return blocks;
}

std::vector<double> product_in_double(const Tensor& x, const Tensor& w) {
  const int64_t M = x.dim(0);
  const int64_t N = w.dim(0);
  const int64_t K = w.dim(1);
  std::vector<double> y;
  for (int64_t m = 0; m < M; ++m) {
    for (int64_t n = 0; n < N; ++n) {
      double sum = 0;
      for (int64_t k = 0; k < K; ++k) {
        sum += static_cast<double>(x.data<float>()[m * K + k]) *
               static_cast<double>(w.data<float>()[n * K + k]);
      }
      y.push_back(sum);
    }
  }
  return y;
}

struct Sizes {
  int64_t m, n, k;
};

class Q8Product : public ::testing::TestWithParam<Sizes> {};

// The weights are exact; rounding a row of x to bytes moves each value by at most max|x| / 254 of
// its block, about 1 % of a normal value, so a sum of many moves by less than 1 %.
TEST_P(Q8Product, IsThatOfTheDequantizedMatrix) {
  const auto [m, n, k] = GetParam();
  for (const simd::Isa isa : test::machine_isas()) {
    const DevicePtr device = test::test_device(isa, 2);
    const Tensor x = test::copy_to(test::randn({m, k}, 1), device);
    const LinearWeight w = LinearWeight::out_in(q8({n, k}, 2, device));
    const Tensor y = linear(x, w, Precision::kF32);
    EXPECT_LE(test::relative_error(test::to_double(y), product_in_double(x, quant::dense_f32(w))),
              0.01)
        << simd::isa_name(isa);
  }
}

TEST_P(Q8Product, HasTheSameBitsForEveryCutAndThreadCount) {
  const auto [m, n, k] = GetParam();
  for (const simd::Isa isa : test::machine_isas()) {
    std::vector<Tensor> whole;
    for (const int threads : {1, 2, 3}) {
      const DevicePtr device = test::test_device(isa, threads);
      const Tensor x = test::copy_to(test::randn({m, k}, 1), device);
      const LinearWeight w = LinearWeight::out_in(q8({n, k}, 2, device));
      whole.push_back(linear(x, w, Precision::kF32));
      EXPECT_TRUE(test::same_bits(whole.front(), whole.back())) << threads << " threads";
      for (int64_t row = 0; row < m; ++row) {
        const Tensor one = linear(x.rows(row, row + 1), w, Precision::kBF16);
        EXPECT_TRUE(test::same_bits(one, whole.back().rows(row, row + 1))) << "row " << row;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Sizes, Q8Product,
                         ::testing::Values(Sizes{1, 1, 32}, Sizes{1, 5, 160}, Sizes{2, 67, 64},
                                           Sizes{4, 4, 32}, Sizes{5, 33, 96}, Sizes{9, 160, 256},
                                           Sizes{33, 130, 512}));

TEST(Q8Product, OfExactIntegersIsExactOnEveryInstructionSet) {
  // Scales of 1: integers in, integers out.
  const int64_t K = 64;
  for (const simd::Isa isa : test::machine_isas()) {
    const DevicePtr device = test::test_device(isa, 1);
    Tensor x({1, K}, DType::kF32, device);
    Tensor w({1, K}, DType::kF32, device);
    double wanted = 0;
    for (int64_t i = 0; i < K; ++i) {
      const int64_t a = i % 32 == 0 ? 127 : i % 13 - 6;
      const int64_t b = i % 32 == 1 ? -127 : 5 - i % 11;
      x.mutable_data<float>()[i] = static_cast<float>(a);
      w.mutable_data<float>()[i] = static_cast<float>(b);
      wanted += static_cast<double>(a * b);
    }
    Tensor blocks({1, K}, DType::kQ8_0, device);
    quant::quantize_row_q8_0(w.data<float>(), blocks.mutable_data<std::byte>(), K);
    const Tensor y = linear(x, LinearWeight::out_in(blocks), Precision::kF32);
    EXPECT_EQ(static_cast<double>(y.data<float>()[0]), wanted) << simd::isa_name(isa);
  }
}

TEST(Q8Product, TakesTheByteMinus128ThatOtherProgramsWrite) {
  for (const simd::Isa isa : test::machine_isas()) {
    const DevicePtr device = test::test_device(isa, 1);
    Tensor x({1, 32}, DType::kF32, device);
    for (int64_t i = 0; i < 32; ++i) x.mutable_data<float>()[i] = i % 2 == 0 ? 127.0f : -127.0f;
    Tensor blocks({1, 32}, DType::kQ8_0, device);
    auto* bytes = blocks.mutable_data<std::byte>();
    const uint16_t one = f32_to_f16(1.0f);
    std::memcpy(bytes, &one, 2);
    for (int i = 0; i < 32; ++i) bytes[2 + i] = static_cast<std::byte>(i % 2 == 0 ? -128 : 127);
    const Tensor y = linear(x, LinearWeight::out_in(blocks), Precision::kF32);
    EXPECT_EQ(y.data<float>()[0], 16.0f * 127 * -128 - 16.0f * 127 * 127) << simd::isa_name(isa);
  }
}

TEST(Q8GroupedProduct, IsThatOfEachExpert) {
  const DevicePtr device = test::test_device(simd::detect_isa(), 2);
  const Tensor x = test::copy_to(test::randn({11, 64}, 3), device);
  const LinearWeight stack = LinearWeight::out_in(q8({4, 48, 64}, 4, device));
  const std::vector<int64_t> offsets = {0, 3, 3, 10, 11};
  const Tensor y = grouped_linear(x, stack, offsets, Precision::kF32);
  for (int64_t e = 0; e < 4; ++e) {
    const int64_t begin = offsets[static_cast<size_t>(e)];
    const int64_t end = offsets[static_cast<size_t>(e) + 1];
    if (begin == end) continue;
    const LinearWeight one = LinearWeight::out_in(stack.data.rows(e, e + 1).view({48, 64}));
    EXPECT_TRUE(
        test::same_bits(linear(x.rows(begin, end), one, Precision::kF32), y.rows(begin, end)));
  }
}

}  // namespace
}  // namespace corral::ops
