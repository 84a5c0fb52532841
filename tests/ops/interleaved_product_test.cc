#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "autograd/tape.h"
#include "base/error.h"
#include "ops/grouped_linear/grouped_linear.h"
#include "ops/linear/linear.h"
#include "ops/matmul/matmul.h"
#include "support/blocks.h"
#include "support/interleaved.h"
#include "support/reach.h"

namespace corral::ops {
namespace {

using quant::LinearWeight;
using quant::Precision;

std::vector<simd::Isa> isas_that_interleave(DType dtype) {
  std::vector<simd::Isa> isas;
  for (const simd::Isa isa : test::machine_isas()) {
    if (interleaving_of(isa, dtype)) isas.push_back(isa);
  }
  return isas;
}

LinearWeight random_weight(const Shape& shape, DType dtype, uint64_t seed,
                           const DevicePtr& device) {
  if (dtype == DType::kQ8_0) {
    return LinearWeight::out_in(test::random_blocks(shape, dtype, seed, device));
  }
  return LinearWeight::out_in(test::to_dtype(test::randn(shape, seed, device), dtype));
}

class InterleavedProduct : public ::testing::TestWithParam<DType> {
 protected:
  void SetUp() override {
    if (isas.empty()) GTEST_SKIP() << "no instruction set here has products of interleaved rows";
  }
  DType dtype = GetParam();
  std::vector<simd::Isa> isas = isas_that_interleave(dtype);
};

struct Sizes {
  int64_t n, k;
};
/// Groups that are no whole quads, panels that are no whole ones, several blocks along k and along
/// columns, matrices of several stretches.
std::vector<Sizes> sizes(DType dtype) {
  if (dtype == DType::kQ8_0) {
    return {{32, 32},     {32, 160}, {96, 512},    {160, 2976}, {64, 5888},
            {1056, 2048}, {48, 64},  {1040, 2048}, {4128, 2048}};
  }
  return {{32, 2}, {32, 34}, {96, 514}, {160, 1050}, {1056, 70}, {48, 64}, {1040, 70}};
}

TEST_P(InterleavedProduct, HasTheBitsOfThatWithRows) {
  for (const simd::Isa isa : isas) {
    for (const auto& [n, k] : sizes(dtype)) {
      if (n % interleaving_of(isa, dtype).rows != 0) continue;
      const DevicePtr one = test::test_device(isa, 1);
      const LinearWeight w = random_weight({n, k}, dtype, 2, one);
      for (const int64_t m : {1, 2, 3, 4, 5, 6, 7, 8, 9, 13, 33, 70, 130}) {
        const Tensor x = test::randn({m, k}, 1, one);
        for (const Precision precision : {Precision::kF32, Precision::kBF16}) {
          const Tensor wanted = linear(x, w, precision);
          for (const int threads : {1, 2, 3}) {
            const DevicePtr device = test::test_device(isa, threads);
            LinearWeight other = test::interleaved(w, interleaving_of(isa, dtype));
            other.data = test::copy_to(other.data, device);
            const Tensor y = linear(test::copy_to(x, device), other, precision);
            ASSERT_TRUE(test::same_bits(y, wanted))
                << simd::isa_name(isa) << " " << Shape{m, n, k} << ", " << threads << " threads";
          }
          if (dtype == DType::kQ8_0) break;  // which has one
        }
      }
    }
  }
}

TEST_P(InterleavedProduct, HasTheSameBitsHoweverFarAheadBIsRead) {
  for (const simd::Isa isa : isas) {
    const DevicePtr near = test::test_device(isa, 2);
    const DevicePtr far = test::far_device(isa, 2);
    const LinearWeight w =
        test::interleaved(random_weight({96, 512}, dtype, 2, near), interleaving_of(isa, dtype));
    LinearWeight other = w;
    other.data = test::copy_to(w.data, far);
    for (const int64_t m : {1, 3}) {
      const Tensor x = test::randn({m, 512}, 1, near);
      ASSERT_TRUE(test::same_bits(linear(test::copy_to(x, far), other, Precision::kF32),
                                  linear(x, w, Precision::kF32)))
          << simd::isa_name(isa) << ", " << m << " rows";
    }
  }
}

TEST_P(InterleavedProduct, IsThatOfEachExpert) {
  const DevicePtr device = test::test_device(isas.front(), 2);
  const Tensor x = test::randn({50, 256}, 3, device);
  const LinearWeight stack = random_weight({4, 64, 256}, dtype, 4, device);
  const std::vector<int64_t> offsets = {0, 3, 3, 40, 50};
  EXPECT_TRUE(test::same_bits(
      grouped_linear(x, test::interleaved(stack, interleaving_of(isas.front(), dtype)), offsets,
                     Precision::kF32),
      grouped_linear(x, stack, offsets, Precision::kF32)));
}

// Products that share rows of A need not all be of interleaved weights.
TEST_P(InterleavedProduct, StandsBesideOthersInOneCall) {
  const DevicePtr device = test::test_device(isas.front(), 2);
  const LinearWeight rows = random_weight({70, 128}, dtype, 5, device);
  const LinearWeight other = test::interleaved(random_weight({64, 128}, dtype, 6, device),
                                               interleaving_of(isas.front(), dtype));
  for (const int64_t m : {1, 20}) {
    const Tensor x = test::randn({m, 128}, 7, device);
    Tensor together[2] = {Tensor({m, 70}, DType::kF32, device),
                          Tensor({m, 64}, DType::kF32, device)};
    std::vector<Product> products;
    for (const LinearWeight* w : {&rows, &other}) {
      Tensor& y = together[products.size()];
      products.push_back(
          {.a_MK = {x.data<float>(), DType::kF32, m, 128, 128, 1},
           .b_NK = {w->data.data<std::byte>(), dtype, w->out_features, 128, 128, 1,
                    w->interleaving},
           .c_MN = {y.mutable_data<float>(), m, w->out_features, w->out_features, 1}});
    }
    matmul(*device, products, Precision::kF32);
    EXPECT_TRUE(test::same_bits(together[0], linear(x, rows, Precision::kF32)));
    EXPECT_TRUE(test::same_bits(together[1], linear(x, other, Precision::kF32)));
  }
}

TEST_P(InterleavedProduct, IsWrittenAndAddedWhereverCLies) {
  const int64_t n = 64;
  const int64_t k = 160;
  const DevicePtr device = test::test_device(isas.front(), 2);
  const LinearWeight w = random_weight({n, k}, dtype, 8, device);
  const LinearWeight other = test::interleaved(w, interleaving_of(isas.front(), dtype));
  for (const int64_t m : {2, 20}) {
    const Tensor x = test::randn({m, k}, 9, device);
    const auto added = [&](const LinearWeight& b) {
      std::vector<float> c(static_cast<size_t>(3 * m * n), 0.5f);  // columns before rows
      matmul(*device,
             {.a_MK = {x.data<float>(), DType::kF32, m, k, k, 1},
              .b_NK = {b.data.data<std::byte>(), dtype, n, k, k, 1, b.interleaving},
              .c_MN = {c.data(), m, n, 3, 3 * m},
              .accumulate = true},
             Precision::kF32);
      return c;
    };
    EXPECT_EQ(added(other), added(w)) << m << " rows";
  }
}

INSTANTIATE_TEST_SUITE_P(Types, InterleavedProduct,
                         ::testing::Values(DType::kQ8_0, DType::kF32, DType::kBF16),
                         [](const auto& one) { return std::string(dtype_name(one.param)); });

// Single rows and tiles show values that are not finite.
TEST(InterleavedProducts, ShowWhatIsNotFinite) {
  const DevicePtr device = test::test_device();
  const quant::Interleaving how = interleaving_of(device->isa(), DType::kQ8_0);
  if (!how) GTEST_SKIP() << "has no such products";
  LinearWeight w = random_weight({32, 64}, DType::kQ8_0, 10, device);
  const uint16_t infinite = 0x7C00;
  std::memcpy(w.data.mutable_data<std::byte>(), &infinite, sizeof(infinite));  // row 0's scale
  const LinearWeight other = test::interleaved(w, how);
  for (const int64_t m : {1, 12}) {
    const Tensor y = linear(test::randn({m, 64}, 11, device), other, Precision::kF32);
    for (int64_t i = 0; i < m; ++i) {
      EXPECT_FALSE(std::isfinite(y.data<float>()[i * 32]));
      EXPECT_TRUE(std::isfinite(y.data<float>()[i * 32 + 1]));
    }
  }
}

TEST(InterleavedProducts, AreRefusedWhereThereAreNone) {
  EXPECT_FALSE(interleaving_of(simd::detect_isa(), DType::kQ4_0));
  EXPECT_FALSE(interleaving_of(simd::detect_isa(), DType::kF16));
  const DevicePtr device = test::test_device(simd::Isa::kPortable, 1);
  for (const DType dtype : {DType::kQ8_0, DType::kF32, DType::kBF16}) {
    ASSERT_FALSE(interleaving_of(simd::Isa::kPortable, dtype));
    const LinearWeight w =
        test::interleaved(random_weight({32, 32}, dtype, 12, device), {32, true});
    EXPECT_THAT(
        [&] {
          linear(test::randn({1, 32}, 13, device), w, Precision::kF32);
        },
        testing::ThrowsMessage<NotSupported>(testing::HasSubstr(str("interleaved ", dtype))));
  }
}

TEST(InterleavedProducts, HaveNoGradient) {
  const DevicePtr device = test::test_device();
  const quant::Interleaving how = interleaving_of(device->isa(), DType::kF32);
  if (!how) GTEST_SKIP() << "has no such products";
  const LinearWeight w = test::interleaved(random_weight({32, 32}, DType::kF32, 14, device), how);
  const Tensor x = autograd::parameter(test::randn({1, 32}, 15, device));
  const Tensor y = linear(x, w, Precision::kF32);
  EXPECT_THAT(
      [&] {
        autograd::backward(y, test::randn({1, 32}, 16, device));
      },
      testing::ThrowsMessage<NotSupported>(testing::HasSubstr("interleaved")));
}

}  // namespace
}  // namespace corral::ops
