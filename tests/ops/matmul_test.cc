#include "ops/matmul/matmul.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "support/op_case.h"

namespace corral {
namespace {

using ops::MatrixView;
using ops::MutableMatrix;
using quant::Precision;
using test::randn;

MatrixView view(const Tensor& x) {
  return {x.data<std::byte>(), x.dtype(), x.dim(0), x.dim(1), x.dim(1), 1};
}

MutableMatrix target(Tensor& x) {
  return {x.mutable_data<float>(), x.dim(0), x.dim(1), x.dim(1), 1};
}

Tensor transposed(const Tensor& x) {
  Tensor y({x.dim(1), x.dim(0)}, x.dtype(), x.device());
  const auto width = static_cast<size_t>(block_bytes(x.dtype()));
  for (int64_t i = 0; i < x.dim(0); ++i) {
    for (int64_t j = 0; j < x.dim(1); ++j) {
      std::memcpy(y.mutable_data<std::byte>() + (j * x.dim(0) + i) * static_cast<int64_t>(width),
                  x.data<std::byte>() + (i * x.dim(1) + j) * static_cast<int64_t>(width), width);
    }
  }
  return y;
}

struct Operand {
  double value;
  double rounded_away;  // bound on what rounding to the precision takes off
};

Operand operand(double value, Precision precision) {
  if (precision == Precision::kF32) return {value, 0};
  // A bf16 has 8 bits; below 2^-126 AVX-512 takes it for zero.
  return {value, std::abs(value) * 0x1p-9 + 0x1p-126};
}

// |C - exact| <= |rounding of the operands| + gamma_K sum |a b|, gamma_K = K u / (1 - K u), u =
// 2^-24, with one step more for products that are rounded apart; Higham 2002, chapter 3.
void expect_close(const MatrixView& a, const MatrixView& b, const Tensor& a_values,
                  const Tensor& b_values, const Tensor& c, const Tensor& start,
                  Precision precision) {
  const auto x = test::to_double(a_values);
  const auto y = test::to_double(b_values);
  const double gamma = static_cast<double>(a.cols + 2) * 2 * 0x1p-24;
  for (int64_t m = 0; m < a.rows; ++m) {
    for (int64_t n = 0; n < b.rows; ++n) {
      double sum = start.defined() ? static_cast<double>(start.data<float>()[m * b.rows + n]) : 0;
      double size = std::abs(sum);
      double lost = 0;
      for (int64_t k = 0; k < a.cols; ++k) {
        const Operand p = operand(x[m * a.cols + k], precision);
        const Operand q = operand(y[n * a.cols + k], precision);
        sum += p.value * q.value;
        size += std::abs(p.value * q.value);
        lost += std::abs(p.value) * q.rounded_away + std::abs(q.value) * p.rounded_away +
                p.rounded_away * q.rounded_away;
      }
      const double got = static_cast<double>(c.data<float>()[m * b.rows + n]);
      ASSERT_NEAR(got, sum, lost + gamma * size + 1e-37) << "at " << m << ", " << n;
    }
  }
}

struct Size {
  int64_t M, N, K;
};

void PrintTo(const Size& s, std::ostream* out) { *out << s.M << "x" << s.N << "x" << s.K; }

class Matmul : public ::testing::TestWithParam<std::tuple<simd::Isa, DType, Precision, Size>> {};

TEST_P(Matmul, IsWithinTheRoundingBoundOfTheExactProduct) {
  const auto& [isa, dtype, precision, size] = GetParam();
  const DevicePtr device = test::test_device(isa, 2);
  const Tensor a = randn({size.M, size.K}, 1, device);
  const Tensor b = test::to_dtype(randn({size.N, size.K}, 2, device), dtype);
  Tensor c({size.M, size.N}, DType::kF32, device);
  std::fill_n(c.mutable_data<float>(), c.numel(), NAN);
  ops::matmul(*device, view(a), view(b), target(c), false, precision);
  expect_close(view(a), view(b), a, b, c, Tensor(), precision);

  const Tensor start = c.clone();
  ops::matmul(*device, view(a), view(b), target(c), true, precision);
  expect_close(view(a), view(b), a, b, c, start, precision);
}

TEST_P(Matmul, HasTheSameBitsForEveryLayoutOfTheSameMatrices) {
  const auto& [isa, dtype, precision, size] = GetParam();
  const DevicePtr device = test::test_device(isa, 2);
  const Tensor a = randn({size.M, size.K}, 1, device);
  const Tensor b = test::to_dtype(randn({size.N, size.K}, 2, device), dtype);
  const Tensor a_columns = transposed(a);
  const Tensor b_columns = transposed(b);
  Tensor wanted = randn({size.M, size.N}, 3, device);
  const Tensor start = wanted.clone();
  ops::matmul(*device, view(a), view(b), target(wanted), true, precision);
  for (const MatrixView& a_view : {view(a), view(a_columns).transposed()}) {
    for (const MatrixView& b_view : {view(b), view(b_columns).transposed()}) {
      Tensor c = start.clone();
      ops::matmul(*device, a_view, b_view, target(c), true, precision);
      EXPECT_TRUE(test::same_bits(c, wanted));

      // C by columns, then with a gap between all elements.
      Tensor c_columns = transposed(start);
      const MutableMatrix by_columns = {c_columns.mutable_data<float>(), size.M, size.N, 1, size.M};
      ops::matmul(*device, a_view, b_view, by_columns, true, precision);
      EXPECT_TRUE(test::same_bits(transposed(c_columns), wanted));
      Tensor sparse = Tensor::zeros({size.M, size.N, 3}, DType::kF32, device);
      const MutableMatrix gaps = {sparse.mutable_data<float>() + 1, size.M, size.N, size.N * 3, 3};
      for (int64_t i = 0; i < start.numel(); ++i) gaps.data[3 * i] = start.data<float>()[i];
      ops::matmul(*device, a_view, b_view, gaps, true, precision);
      for (int64_t i = 0; i < start.numel(); ++i) {
        ASSERT_EQ(gaps.data[3 * i], wanted.data<float>()[i]);
        ASSERT_EQ(sparse.data<float>()[3 * i], 0);
        ASSERT_EQ(sparse.data<float>()[3 * i + 2], 0);
      }
    }
  }
}

TEST_P(Matmul, GivesARowTheSameBitsWhateverElseIsInTheBatchAndOnAnyThreads) {
  const auto& [isa, dtype, precision, size] = GetParam();
  const DevicePtr device = test::test_device(isa, 1);
  const Tensor a = randn({size.M, size.K}, 1, device);
  const Tensor b = test::to_dtype(randn({size.N, size.K}, 2, device), dtype);
  Tensor wanted({size.M, size.N}, DType::kF32, device);
  ops::matmul(*device, view(a), view(b), target(wanted), false, precision);
  const Philox random(7);
  for (uint64_t i = 0; i < 12; ++i) {
    const DevicePtr other = test::test_device(isa, 1 + static_cast<int>(i % 3));
    const auto at = [&](uint64_t draw, int64_t n) {
      return static_cast<int64_t>(random.below(static_cast<uint64_t>(n), draw, i));
    };
    const int64_t first = at(0, size.M);
    const int64_t last = i < 3 ? first + 1 : first + 1 + at(1, size.M - first);
    const int64_t first_col = i % 2 == 0 ? 0 : at(2, size.N);
    const Tensor rows = a.rows(first, last);
    const Tensor cols = b.rows(first_col, size.N);
    Tensor c({last - first, size.N - first_col}, DType::kF32, device);
    ops::matmul(*other, view(rows), view(cols), target(c), false, precision);
    for (int64_t m = first; m < last; ++m) {
      ASSERT_EQ(std::memcmp(wanted.data<float>() + m * size.N + first_col,
                            c.data<float>() + (m - first) * c.dim(1),
                            static_cast<size_t>(c.dim(1)) * sizeof(float)),
                0)
          << "row " << m << " of rows " << first << " to " << last << ", columns from "
          << first_col;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Sizes, Matmul,
    ::testing::Combine(::testing::ValuesIn(simd::machine_isas()),
                       ::testing::Values(DType::kF32, DType::kF16, DType::kBF16),
                       ::testing::Values(Precision::kF32, Precision::kBF16),
                       // One element; one row; odd in every way; a tile and one more; more than one
                       // block of rows; more than one block of columns and of K; of all three.
                       ::testing::Values(Size{1, 1, 1}, Size{1, 70, 67}, Size{5, 33, 35},
                                         Size{13, 33, 17}, Size{110, 40, 50}, Size{99, 530, 19},
                                         Size{25, 18, 1100}, Size{161, 545, 530})));

TEST(MatmulBatch, ComputesEveryProductWhateverItsSize) {
  const DevicePtr device = test::test_device();
  std::vector<Tensor> a, b, c;
  std::vector<ops::Product> products;
  for (const Size& s : {Size{3, 5, 7}, Size{0, 5, 7}, Size{150, 170, 33}, Size{4, 4, 0},
                        Size{1, 40, 90}, Size{2, 0, 3}, Size{64, 64, 64}}) {
    a.push_back(randn({s.M, s.K}, 1, device));
    b.push_back(randn({s.N, s.K}, 2, device));
    c.push_back(randn({s.M, s.N}, 3, device));
    products.push_back({view(a.back()), view(b.back()), target(c.back()), false});
  }
  ops::matmul(*device, products, Precision::kF32);
  for (size_t i = 0; i < c.size(); ++i) {
    expect_close(view(a[i]), view(b[i]), a[i], b[i], c[i], Tensor(), Precision::kF32);
  }
}

TEST(MatmulWithoutTerms, GivesZerosOrLeavesC) {
  const DevicePtr device = test::test_device();
  const Tensor a = randn({3, 0}, 1, device);
  const Tensor b = randn({4, 0}, 2, device);
  Tensor c = randn({3, 4}, 3, device);
  const Tensor before = c.clone();
  ops::matmul(*device, view(a), view(b), target(c), true, Precision::kF32);
  EXPECT_TRUE(test::same_bits(c, before));
  ops::matmul(*device, view(a), view(b), target(c), false, Precision::kF32);
  for (const float x : c.values<float>()) EXPECT_EQ(x, 0);
}

TEST(MatmulValues, InfinityAndNanReachTheirOwnRowsAndColumnsOnly) {
  for (const simd::Isa isa : test::machine_isas()) {
    for (const Precision precision : {Precision::kF32, Precision::kBF16}) {
      for (const DType dtype : {DType::kF32, DType::kBF16}) {
        const DevicePtr device = test::test_device(isa);
        Tensor a = randn({20, 37}, 1, device);
        const Tensor b = test::to_dtype(randn({40, 37}, 2, device), dtype);
        a.mutable_data<float>()[5 * 37 + 36] = NAN;
        a.mutable_data<float>()[7 * 37 + 3] = INFINITY;
        Tensor c({20, 40}, DType::kF32, device);
        ops::matmul(*device, view(a), view(b), target(c), false, precision);
        for (int64_t i = 0; i < c.numel(); ++i) {
          const float x = c.data<float>()[i];
          EXPECT_EQ(std::isnan(x), i / 40 == 5);
          EXPECT_EQ(std::isinf(x), i / 40 == 7);
        }
        Tensor turned({40, 20}, DType::kF32, device);
        ops::matmul(*device, view(b), view(a), target(turned), false, precision);
        for (int64_t i = 0; i < turned.numel(); ++i) {
          const float x = turned.data<float>()[i];
          EXPECT_EQ(std::isnan(x), i % 20 == 5);
          EXPECT_EQ(std::isinf(x), i % 20 == 7);
        }
      }
    }
  }
}

// One row reads the weights as they lie, 40 pack them.
class MatmulByOnes : public ::testing::TestWithParam<std::tuple<simd::Isa, DType, int>> {};

TEST_P(MatmulByOnes, KeepsEveryBitOfFloats) {
  constexpr int64_t kK = 70;
  const auto& [isa, dtype, rows] = GetParam();
  const DevicePtr device = test::test_device(isa);
  Tensor ones = Tensor::zeros({kK, kK}, DType::kF32, device);
  for (int64_t i = 0; i < kK; ++i) ones.mutable_data<float>()[i * kK + i] = 1;
  Tensor a = randn({rows, kK}, 1, device);
  float* const x = a.mutable_data<float>();
  x[0] = std::numeric_limits<float>::max();
  x[1] = -std::nextafter(1.0f, 2.0f);
  x[2] = 0x1.fffffep-100f;
  x[3] = -0x1.010102p+100f;
  const Tensor b = test::to_dtype(ones, dtype);
  Tensor c({rows, kK}, DType::kF32, device);
  ops::matmul(*device, view(a), view(b), target(c), false, Precision::kF32);
  EXPECT_TRUE(test::same_bits(c, a));
  Tensor turned({kK, rows}, DType::kF32, device);
  ops::matmul(*device, view(b), view(a), target(turned), false, Precision::kF32);
  EXPECT_TRUE(test::same_bits(transposed(turned), a));
  // A NaN whose upper half alone would be infinite.
  const uint32_t quiet_in_the_lower_half = 0x7F800001;
  std::memcpy(x, &quiet_in_the_lower_half, sizeof(*x));
  ops::matmul(*device, view(a), view(b), target(c), false, Precision::kF32);
  EXPECT_TRUE(std::isnan(c.data<float>()[0]));
}

INSTANTIATE_TEST_SUITE_P(Values, MatmulByOnes,
                         ::testing::Combine(::testing::ValuesIn(simd::machine_isas()),
                                            ::testing::Values(DType::kBF16, DType::kF32),
                                            ::testing::Values(1, 40)));

// AMX leaves products of floats with so many rows of B to AVX-512.
TEST(MatmulValues, OfAVocabularyDoNotDependOnTheNumberOfRows) {
  constexpr int64_t kRows = 70'000;
  for (const simd::Isa isa : test::machine_isas()) {
    const DevicePtr device = test::test_device(isa, 2);
    const Tensor a = randn({33, 40}, 1, device);
    const Tensor b = randn({kRows, 40}, 2, device);
    Tensor all({33, kRows}, DType::kF32, device);
    Tensor one({1, kRows}, DType::kF32, device);
    ops::matmul(*device, view(a), view(b), target(all), false, Precision::kF32);
    ops::matmul(*device, view(a.rows(5, 6)), view(b), target(one), false, Precision::kF32);
    EXPECT_TRUE(test::same_bits(all.rows(5, 6), one)) << simd::isa_name(isa);
  }
}

TEST(MatmulMemory, IsReusedFromCallToCall) {
  const DevicePtr device = test::test_device();
  const Tensor a = randn({130, 300}, 1, device);
  const Tensor b = randn({70, 300}, 2, device);
  Tensor c({130, 70}, DType::kF32, device);
  ops::matmul(*device, view(a), view(b), target(c), false, Precision::kBF16);
  const int64_t before = device->memory().system_allocations;
  for (int i = 0; i < 5; ++i) {
    ops::matmul(*device, view(a), view(b), target(c), false, Precision::kBF16);
  }
  EXPECT_EQ(device->memory().system_allocations, before);
}

// The last piece of 20 rows has few enough to go another way, which packs all of K at once.
TEST(MatmulMemory, IsEnoughForALastPieceOfFewRows) {
  for (const simd::Isa isa : test::machine_isas()) {
    const DevicePtr one = test::test_device(isa, 1);
    const DevicePtr two = test::test_device(isa, 2);
    for (const Precision precision : {Precision::kF32, Precision::kBF16}) {
      const Tensor a = randn({20, 5120}, 1, one);
      const Tensor b = randn({16, 5120}, 2, one);
      Tensor c({20, 16}, DType::kF32, one);
      Tensor d({20, 16}, DType::kF32, two);
      ops::matmul(*one, view(a), view(b), target(c), false, precision);
      ops::matmul(*two, view(a), view(b), target(d), false, precision);
      EXPECT_TRUE(test::same_bits(c, d));
    }
  }
}

TEST(MatmulErrors, NameTheSizesTheyGot) {
  const DevicePtr device = test::test_device();
  const Tensor a = randn({3, 4}, 1, device);
  const Tensor b = randn({5, 6}, 2, device);
  Tensor c({3, 5}, DType::kF32, device);
  try {
    ops::matmul(*device, view(a), view(b), target(c), false, Precision::kF32);
    FAIL();
  } catch (const ShapeError& error) {
    EXPECT_STREQ(error.what(), "matmul: [3, 4] times [5, 6]^T does not give [3, 5]");
  }
  const Tensor integers = Tensor::zeros({5, 4}, DType::kI32, device);
  EXPECT_THROW(ops::matmul(*device, view(a), view(integers), target(c), false, Precision::kF32),
               NotSupported);
}

}  // namespace
}  // namespace corral
