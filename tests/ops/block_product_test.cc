#include "ops/matmul/block_product.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <string_view>

#include "base/error.h"
#include "ops/embedding/embedding.h"
#include "ops/grouped_linear/grouped_linear.h"
#include "ops/linear/linear.h"
#include "quant/dense.h"
#include "support/blocks.h"
#include "support/op_case.h"
#include "support/reach.h"

namespace corral::ops {
namespace {

using quant::LinearWeight;
using quant::Precision;

class BlockProduct : public ::testing::TestWithParam<DType> {};

/// Whether codes of the type have at most four bits.
bool is_narrow(DType dtype) {
  switch (dtype) {
    case DType::kQ4_0:
    case DType::kQ4_1:
    case DType::kIQ4_NL:
    case DType::kQ2_K:
    case DType::kQ3_K:
    case DType::kQ4_K:
    case DType::kIQ4_XS:
      return true;
    default:
      return false;
  }
}

/// The power of two at or above x, within the bounds of the kernels.
float power_of_two_for(float x) {
  if (x <= 0x1p-100f) return 0x1p-100f;
  int exponent = 0;
  const float fraction = std::frexp(x, &exponent);
  return std::ldexp(1.0f, fraction == 0.5f ? exponent - 1 : exponent);
}

// x as the kernels round it: groups of 32 share a scale, for narrow codes a power of two, bytes are
// rounded to nearest even.
std::vector<double> rounded_to_bytes(const Tensor& x, bool narrow) {
  std::vector<double> values;
  for (int64_t g = 0; g < x.numel() / 32; ++g) {
    const float* group = x.data<float>() + 32 * g;
    float largest = 0;
    for (int64_t i = 0; i < 32; ++i) largest = std::max(largest, std::abs(group[i]));
    float scale = largest / 127.0f;
    if (narrow) scale = power_of_two_for(scale);
    const float inverse = scale > 1e-38f ? 1.0f / scale : 0.0f;
    for (int64_t i = 0; i < 32; ++i) {
      values.push_back(double{scale} * std::nearbyint(group[i] * inverse));
    }
  }
  return values;
}

// What is left between the kernels and that product in double are the roundings of f32: a few a
// step of a chain, and there are at most three steps for 32 values. A format with a minimum
// subtracts terms that are larger than its values, here at most four times.
void expect_product(const Tensor& x, const Tensor& w_NK, const Tensor& y, const std::string& what) {
  const std::vector<double> a = rounded_to_bytes(x, is_narrow(w_NK.dtype()));
  const std::vector<double> b = test::to_double(quant::dense_f32(LinearWeight::out_in(w_NK)));
  const int64_t N = w_NK.dim(0);
  const int64_t K = w_NK.dim(1);
  for (int64_t i = 0; i < y.numel(); ++i) {
    double sum = 0;
    double magnitude_a = 0;
    double largest_b = 0;
    for (int64_t k = 0; k < K; ++k) {
      const double left = a[static_cast<size_t>(i / N * K + k)];
      const double right = b[static_cast<size_t>(i % N * K + k)];
      sum += left * right;
      magnitude_a += std::abs(left);
      largest_b = std::max(largest_b, std::abs(right));
    }
    const double bound = 4 * test::tolerance(DType::kF32, 3 * K / 32) * magnitude_a * largest_b;
    ASSERT_NEAR(static_cast<double>(y.data<float>()[i]), sum, bound) << what << ", element " << i;
  }
}

TEST_P(BlockProduct, IsThatOfRoundedRowsAndTheDequantizedMatrix) {
  const DType dtype = GetParam();
  for (const simd::Isa isa : test::machine_isas()) {
    // Few rows and many, tails in every direction.
    for (const auto& [m, n, k] : {std::array<int64_t, 3>{1, 1, 256},
                                  {2, 33, 512},
                                  {3, 4, 256},
                                  {7, 35, 768},
                                  {9, 70, 256},
                                  {23, 37, 1280}}) {
      const DevicePtr device = test::test_device(isa, 2);
      const Tensor x = test::randn({m, k}, 1, device);
      const Tensor w = test::random_blocks({n, k}, dtype, 2, device);
      expect_product(x, w, linear(x, LinearWeight::out_in(w), Precision::kBF16),
                     str(simd::isa_name(isa), " ", Shape{m, n, k}));
    }
  }
}

// Products of bytes are added in 16 bits as long as the largest have room there.
TEST_P(BlockProduct, IsExactForTheLargestBytes) {
  const int64_t K = 512;
  for (const simd::Isa isa : test::machine_isas()) {
    const DevicePtr device = test::test_device(isa, 1);
    for (const int byte : {0x00, 0x77, 0x7F, 0x80, 0xFF}) {
      const Tensor w = test::blocks_of({35, K}, GetParam(), 2, device,
                                       [&](int64_t) { return static_cast<uint8_t>(byte); });
      for (const int64_t m : {1, 3, 4, 8, 13}) {
        Tensor x({m, K}, DType::kF32, device);
        for (int64_t i = 0; i < x.numel(); ++i) {
          x.mutable_data<float>()[i] = i / K % 2 == 0 ? 1.0f : -1.0f;
        }
        expect_product(x, w, linear(x, LinearWeight::out_in(w), Precision::kF32),
                       str(simd::isa_name(isa), " ", m, " rows, bytes of ", byte));
      }
    }
  }
}

// The kernels take four groups of 32 at a time; rows of blocks of 32 may end inside such a quad.
TEST_P(BlockProduct, TakesAnyNumberOfBlocks) {
  const int64_t block = block_elements(GetParam());
  for (const simd::Isa isa : test::machine_isas()) {
    for (const int64_t blocks : {1, 2, 3, 5, 18, 36}) {
      for (const int64_t m : {1, 10}) {
        const DevicePtr device = test::test_device(isa, 1);
        const Tensor x = test::randn({m, block * blocks}, 1, device);
        const Tensor w = test::random_blocks({6, block * blocks}, GetParam(), 2, device);
        const Tensor y = linear(x, LinearWeight::out_in(w), Precision::kF32);
        expect_product(x, w, y, str(simd::isa_name(isa), " ", m, " x ", blocks, " blocks"));
        const Tensor last = linear(x.rows(m - 1, m), LinearWeight::out_in(w), Precision::kF32);
        EXPECT_TRUE(test::same_bits(last, y.rows(m - 1, m))) << m << " rows, " << blocks;
      }
    }
  }
}

TEST_P(BlockProduct, AddsToWhatIsThereAndWritesColumnsAsWellAsRows) {
  const int64_t M = 10;
  const int64_t N = 37;
  const int64_t K = 256;
  for (const simd::Isa isa : test::machine_isas()) {
    const DevicePtr device = test::test_device(isa, 2);
    const Tensor x = test::randn({M, K}, 1, device);
    const Tensor w = test::random_blocks({N, K}, GetParam(), 2, device);
    const Tensor y = linear(x, LinearWeight::out_in(w), Precision::kF32);
    for (const int64_t m : {int64_t{1}, int64_t{3}, int64_t{6}, M}) {
      Tensor across({N, m}, DType::kF32, device);
      for (int64_t i = 0; i < N * m; ++i) across.mutable_data<float>()[i] = 0.25f;
      matmul(*device, {x.data<float>(), DType::kF32, m, K, K, 1},
             {w.data<std::byte>(), GetParam(), N, K, K, 1},
             {across.mutable_data<float>(), m, N, 1, m}, true, Precision::kF32);
      for (int64_t i = 0; i < m * N; ++i) {
        EXPECT_EQ(across.data<float>()[i % N * m + i / N], 0.25f + y.data<float>()[i]);
      }
    }
  }
}

TEST_P(BlockProduct, HasTheSameBitsForEveryCutAndThreadCount) {
  const DType dtype = GetParam();
  const int64_t M = 15;
  const int64_t N = 70;
  const int64_t K = 768;
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
      const Tensor some = linear(x.rows(1, 8), w, Precision::kF32);
      EXPECT_TRUE(test::same_bits(some, whole.rows(1, 8)));
    }
  }
}

// Products of few rows of A have kernels of their own, which take turns as the rows grow in number.
// Of many rows of B some are read side by side that lie far from each other.
TEST_P(BlockProduct, OfFewRowsHasTheBitsOfMany) {
  for (const simd::Isa isa : test::machine_isas()) {
    const DevicePtr device = test::test_device(isa, 2);
    for (const auto& [n, k] :
         {std::array<int64_t, 2>{67, 1024}, {33, 2304}, {8, 10240}, {1501, 256}}) {
      const Tensor x = test::randn({70, k}, 1, device);
      const LinearWeight w =
          LinearWeight::out_in(test::random_blocks({n, k}, GetParam(), 2, device));
      const Tensor all = linear(x, w, Precision::kF32);
      for (const int64_t m : {1, 2, 3, 4, 5, 8, 9, 16, 17, 32, 33, 48, 49, 64, 65}) {
        const Tensor some = linear(x.rows(70 - m, 70), w, Precision::kF32);
        ASSERT_TRUE(test::same_bits(some, all.rows(70 - m, 70)))
            << simd::isa_name(isa) << " " << Shape{m, n, k};
      }
    }
  }
}

// What a thread reads as streams from end to end is cut into stretches, which others may take, and
// the last of them into shorter ones. Two types stand for all where there are several.
TEST_P(BlockProduct, OfALargeMatrixHasTheBitsOfItsParts) {
  const bool several = GetParam() == DType::kQ8_0 || GetParam() == DType::kQ4_K;
  const int64_t N = several ? 34001 : 4001;
  const int64_t K = 512;
  const int64_t kPart = several ? 9000 : 1000;
  for (const simd::Isa isa : test::machine_isas()) {
    const Tensor w = test::random_blocks({N, K}, GetParam(), 2, test::test_device(isa, 1));
    for (const int threads : {1, 2}) {
      const DevicePtr device = test::test_device(isa, threads);
      const Tensor x = test::randn({3, K}, 1, device);
      for (const int64_t m : {1, 3}) {
        const Tensor some = x.rows(0, m);
        const Tensor whole = linear(some, LinearWeight::out_in(w), Precision::kF32);
        for (int64_t col = 0; col < N; col += kPart) {
          const int64_t cols = std::min(kPart, N - col);
          const Tensor part =
              linear(some, LinearWeight::out_in(w.rows(col, col + cols)), Precision::kF32);
          for (int64_t row = 0; row < m; ++row) {
            ASSERT_EQ(
                std::memcmp(part.data<float>() + row * cols, whole.data<float>() + row * N + col,
                            static_cast<size_t>(cols) * sizeof(float)),
                0)
                << simd::isa_name(isa) << ", " << threads << " threads, row " << row
                << ", columns from " << col;
          }
        }
      }
    }
  }
}

// What is asked for ahead lies behind the end of B, too.
TEST_P(BlockProduct, HasTheSameBitsHoweverFarAheadBIsRead) {
  for (const simd::Isa isa : test::machine_isas()) {
    const DevicePtr near = test::test_device(isa, 2);
    const DevicePtr far = test::far_device(isa, 2);
    for (const auto& [n, k] : {std::array<int64_t, 2>{67, 1024}, {33, 2304}}) {
      const Tensor x = test::randn({3, k}, 1, near);
      const Tensor w = test::random_blocks({n, k}, GetParam(), 2, near);
      for (const int64_t m : {1, 3}) {
        const Tensor some = x.rows(0, m);
        const Tensor wanted = linear(some, LinearWeight::out_in(w), Precision::kF32);
        const Tensor y = linear(test::copy_to(some, far),
                                LinearWeight::out_in(test::copy_to(w, far)), Precision::kF32);
        ASSERT_TRUE(test::same_bits(y, wanted)) << simd::isa_name(isa) << " " << Shape{m, n, k};
      }
    }
  }
}

// Several panels along k, between which the sums of all rows are kept; several tiles of rows, of
// which the last is short; several blocks of tiles.
TEST_P(BlockProduct, OfManyRowsAndPanelsHasTheBitsOfSingleRows) {
  for (const simd::Isa isa : test::machine_isas()) {
    const DevicePtr device = test::test_device(isa, 2);
    for (const auto& [m, n, k] :
         {std::array<int64_t, 3>{41, 34, 5376}, {73, 34, 5376}, {68, 66, 2816}, {525, 5, 5376}}) {
      const Tensor x = test::randn({m, k}, 1, device);
      const LinearWeight w =
          LinearWeight::out_in(test::random_blocks({n, k}, GetParam(), 2, device));
      const Tensor all = linear(x, w, Precision::kF32);
      for (int64_t row = 0; row < m; row += row < 48 || m < 100 ? 1 : 53) {
        const Tensor one = linear(x.rows(row, row + 1), w, Precision::kF32);
        ASSERT_TRUE(test::same_bits(one, all.rows(row, row + 1)))
            << simd::isa_name(isa) << " " << Shape{m, n, k} << ", row " << row;
      }
    }
  }
}

// Hashes of products of numbers that every machine makes alike. Where multiply-adds round once,
// which on x86-64 the portable kernels cannot, they are the same on every processor.
const std::map<DType, uint64_t> kProductHashes = {
    {DType::kQ8_0, 0x93046C336C6DD866},   {DType::kQ4_0, 0xCCDAC7C845F24315},
    {DType::kQ4_1, 0x46E49C8EE9655391},   {DType::kQ5_0, 0xD03B1CDBE1877898},
    {DType::kQ5_1, 0xCB1E481764CD071C},   {DType::kIQ4_NL, 0xC1AF8263284BF755},
    {DType::kMXFP4, 0x0DA46DE29021DA09},  {DType::kQ2_K, 0x37D0200FEC61E950},
    {DType::kQ3_K, 0x4CC04D6A7B80A918},   {DType::kQ4_K, 0x0E9C242DA8311DE2},
    {DType::kQ5_K, 0x355DBAA97DE90D62},   {DType::kQ6_K, 0xE96FAB07D739BF07},
    {DType::kIQ4_XS, 0xE33768F256738267},
};

TEST_P(BlockProduct, HasTheSameBitsOnEveryProcessor) {
  const int64_t K = block_elements(GetParam()) == 32 ? 800 : 768;
  const Philox random(11);
  for (const simd::Isa isa : test::machine_isas()) {
#if defined(__x86_64__)
    if (isa == simd::Isa::kPortable) continue;
#endif
    const DevicePtr device = test::test_device(isa, 2);
    Tensor x({11, K}, DType::kF32, device);
    for (int64_t i = 0; i < x.numel(); ++i) {
      const double value = (random.uniform(static_cast<uint64_t>(i)) - 0.5) * (1 << (i / 32 % 5));
      x.mutable_data<float>()[i] = static_cast<float>(value);
    }
    const Tensor w = test::random_blocks({37, K}, GetParam(), 12, device);
    const Tensor y = linear(x, LinearWeight::out_in(w), Precision::kF32);
    const std::string_view bytes(reinterpret_cast<const char*>(y.data<std::byte>()),
                                 static_cast<size_t>(y.size_bytes()));
    EXPECT_EQ(hash_name(bytes), kProductHashes.at(GetParam()))
        << dtype_name(GetParam()) << " on " << simd::isa_name(isa);
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

// Powers of two are added to exponents where that is faster, which zeros do not have.
TEST_P(BlockProduct, TakesScalesOfZeroOfEitherSign) {
  const int64_t N = 35;
  const int64_t K = 512;
  for (const simd::Isa isa : test::machine_isas()) {
    const DevicePtr device = test::test_device(isa, 2);
    Tensor w = test::random_blocks({N, K}, GetParam(), 2, device);
    auto* bytes = w.mutable_data<std::byte>();
    for (int64_t b = 0; b < w.size_bytes(); b += block_bytes(GetParam())) {
      const int64_t row = b / bytes_of(GetParam(), K);
      if (row % 3 == 1) continue;
      const uint16_t zero = row % 2 == 0 ? 0x0000 : 0x8000;
      for (const int64_t at : test::scale_places(GetParam())) {
        std::memcpy(bytes + b + at, &zero, sizeof(zero));
      }
    }
    const Tensor x = test::randn({14, K}, 1, device);
    const Tensor y = linear(x, LinearWeight::out_in(w), Precision::kF32);
    expect_product(x, w, y, std::string(simd::isa_name(isa)));
    for (int64_t i = 0; i < y.numel(); ++i) {
      if (GetParam() == DType::kMXFP4 || i % N % 3 == 1) continue;
      ASSERT_EQ(y.data<float>()[i], 0.0f) << simd::isa_name(isa);
    }
    const Tensor one = linear(x.rows(5, 6), LinearWeight::out_in(w), Precision::kF32);
    EXPECT_TRUE(test::same_bits(one, y.rows(5, 6)));
  }
}

TEST_P(BlockProduct, TakesRowsOfAnySize) {
  const int64_t K = 256;
  for (const simd::Isa isa : test::machine_isas()) {
    const DevicePtr device = test::test_device(isa, 1);
    const Tensor w = test::random_blocks({33, K}, GetParam(), 2, device);
    for (const float size : {0.0f, 1e-38f, 1e-31f, 1e-29f, 1e-10f, 1e10f, 1e28f, 1e30f}) {
      Tensor x = test::copy_to(test::randn({12, K}, 1), device);
      for (int64_t i = 0; i < x.numel(); ++i) x.mutable_data<float>()[i] *= size;
      const Tensor y = linear(x, LinearWeight::out_in(w), Precision::kF32);
      expect_product(x, w, y, str(simd::isa_name(isa), ", times ", size));
      const Tensor few = linear(x.rows(3, 5), LinearWeight::out_in(w), Precision::kF32);
      EXPECT_TRUE(test::same_bits(few, y.rows(3, 5))) << simd::isa_name(isa) << " " << size;
    }
  }
}

TEST_P(BlockProduct, ShowsInWhichRowsValuesAreNotFinite) {
  const int64_t K = 768;
  for (const simd::Isa isa : test::machine_isas()) {
    const DevicePtr device = test::test_device(isa, 2);
    const LinearWeight w =
        LinearWeight::out_in(test::random_blocks({35, K}, GetParam(), 2, device));
    for (const float bad :
         {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity()}) {
      for (const int64_t m : {1, 3, 13}) {
        Tensor x = test::copy_to(test::randn({m, K}, 1), device);
        x.mutable_data<float>()[(m - 1) * K + 300] = bad;
        const Tensor y = linear(x, w, Precision::kF32);
        for (int64_t i = 0; i < y.numel(); ++i) {
          ASSERT_EQ(std::isnan(y.data<float>()[i]), i / 35 == m - 1) << simd::isa_name(isa);
        }
      }
    }
  }
}

TEST_P(BlockProduct, OfNothingIsZeros) {
  const DevicePtr device = test::test_device();
  const LinearWeight none = LinearWeight::out_in(Tensor({5, 0}, GetParam(), device));
  const LinearWeight w = LinearWeight::out_in(test::random_blocks({5, 256}, GetParam(), 2, device));
  for (const int64_t rows : {3, 20}) {  // read as it lies, and unpacked
    // The memory that is taken next, for sums as well as for y, has other values.
    linear(test::randn({rows, 256}, 1, device), w, Precision::kF32);
    const Tensor y = linear(test::randn({rows, 0}, 1, device), none, Precision::kF32);
    for (const double value : test::to_double(y)) EXPECT_EQ(value, 0);
  }
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
