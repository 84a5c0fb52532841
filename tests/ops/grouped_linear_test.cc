#include "ops/grouped_linear/grouped_linear.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <utility>

#include "ops/linear/linear.h"
#include "support/blocks.h"
#include "support/op_case.h"

namespace corral {
namespace {

using quant::LinearWeight;
using quant::Precision;
using test::OpCase;
using test::randn;
using test::Values;

std::vector<double> reference(const Values& in, const LinearWeight& w,
                              const std::vector<int64_t>& offsets) {
  std::vector<double> y;
  for (int64_t e = 0; e < w.count; ++e) {
    const int64_t base = w.offset + e * w.stride_count;
    for (int64_t row = offsets[e]; row < offsets[e + 1]; ++row) {
      for (int64_t n = 0; n < w.out_features; ++n) {
        double sum = 0;
        for (int64_t k = 0; k < w.in_features; ++k) {
          sum += in[0][row * w.in_features + k] * in[1][base + n * w.stride_out + k * w.stride_in];
        }
        y.push_back(sum);
      }
    }
  }
  return y;
}

OpCase grouped_case(const LinearWeight& w, const std::vector<int64_t>& offsets,
                    Precision precision) {
  return {.name = "grouped_linear",
          .inputs = {randn({offsets.back(), w.in_features}, 1), w.data},
          .op =
              [=](auto& in) {
                LinearWeight used = w;
                used.data = in[1];
                return ops::grouped_linear(in[0], used, offsets, precision);
              },
          .reference = [=](auto& in) { return reference(in, w, offsets); },
          .terms = w.in_features,
          .dtype = precision == Precision::kBF16 ? DType::kBF16 : DType::kF32};
}

class GroupedLinear : public ::testing::TestWithParam<std::tuple<Precision, DType>> {};

TEST_P(GroupedLinear, MatchesReferenceAndFiniteDifferencesInBothLayouts) {
  const auto& [precision, dtype] = GetParam();
  const std::vector<int64_t> offsets = {0, 1, 1, 15, 19};
  const Tensor out_in = test::to_dtype(randn({4, 18, 9}, 2), dtype);
  const OpCase rows = grouped_case(LinearWeight::out_in(out_in), offsets, precision);
  check_forward(rows);
  check_grad(rows);

  const Tensor in_out = test::to_dtype(randn({4, 9, 30}, 3), dtype);
  const OpCase columns = grouped_case(LinearWeight::in_out(in_out, 10, 20), offsets, precision);
  check_forward(columns);
  check_grad(columns);
}

INSTANTIATE_TEST_SUITE_P(Types, GroupedLinear,
                         ::testing::Combine(::testing::Values(Precision::kF32, Precision::kBF16),
                                            ::testing::Values(DType::kF32, DType::kBF16)));

TEST(GroupedLinearRows, AreTheBitsOfLinearWithTheirExpert) {
  const std::vector<int64_t> offsets = {0, 3, 20, 20, 77};
  const Tensor x = randn({77, 40}, 1);
  const Tensor w = randn({4, 50, 40}, 2);
  for (const Precision precision : {Precision::kF32, Precision::kBF16}) {
    const Tensor y = ops::grouped_linear(x, LinearWeight::out_in(w), offsets, precision);
    for (int64_t e = 0; e < 4; ++e) {
      const Tensor one = w.rows(e, e + 1).view({50, 40});
      const Tensor wanted =
          ops::linear(x.rows(offsets[e], offsets[e + 1]), LinearWeight::out_in(one), precision);
      EXPECT_TRUE(test::same_bits(y.rows(offsets[e], offsets[e + 1]), wanted));
    }
  }
}

// Types of which the products of both layers are one call, and a pair that cannot be.
constexpr std::pair<DType, DType> kTypes[] = {
    {DType::kF32, DType::kBF16}, {DType::kQ4_0, DType::kQ4_K}, {DType::kQ8_0, DType::kF32}};

TEST(GroupedLinearLayers, HaveTheBitsOfEach) {
  const auto stack = [](DType dtype, int64_t experts) {
    const Shape shape = {experts, 200, 256};
    return LinearWeight::out_in(is_block(dtype) ? test::random_blocks(shape, dtype, 2)
                                                : test::to_dtype(randn(shape, 2), dtype));
  };
  for (const auto& [first, second] : kTypes) {
    for (const int64_t T : {0, 1, 3, 12, 32, 40}) {
      const Tensor x = randn({T, 256}, 1);
      const Tensor rows = randn({2 * T, 256}, 3);
      const LinearWeight shared = stack(first, 1);
      const LinearWeight experts = stack(second, 3);
      const std::vector<int64_t> all = {0, T};
      const std::vector<int64_t> offsets = {0, T / 4, T / 4, 2 * T};
      const auto [y, z] =
          ops::grouped_linear({{x, shared, all}, {rows, experts, offsets}}, Precision::kBF16);
      EXPECT_TRUE(test::same_bits(y, ops::grouped_linear(x, shared, all, Precision::kBF16)))
          << first << T;
      EXPECT_TRUE(test::same_bits(z, ops::grouped_linear(rows, experts, offsets, Precision::kBF16)))
          << first << T;
    }
  }
}

TEST(GroupedLinearExperts, WithoutRowsAreNotRead) {
  // The middle expert lies on a page that may not be read.
  const size_t page = 4096;
  void* memory =
      mmap(nullptr, 3 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  const std::shared_ptr<void> keeper(memory, [](void* at) { munmap(at, 3 * page); });
  auto* bytes = static_cast<std::byte*>(memory);
  std::fill_n(reinterpret_cast<float*>(bytes), 3 * page / sizeof(float), 0.5f);
  ASSERT_EQ(mprotect(bytes + page, page, PROT_NONE), 0);

  const DevicePtr device = test::test_device();
  const auto storage = Storage::borrow(device, {bytes, 3 * page}, keeper);
  const Tensor w(storage, 0, {3, 32, 32}, DType::kF32);
  const std::vector<int64_t> offsets = {0, 2, 2, 7};
  const Tensor y = ops::grouped_linear(randn({7, 32}, 1, device), LinearWeight::out_in(w), offsets,
                                       Precision::kF32);
  EXPECT_EQ(y.shape(), (Shape{7, 32}));
}

void expect_shape_error(const Tensor& x, const std::vector<int64_t>& offsets, const char* message) {
  const LinearWeight w = LinearWeight::out_in(randn({2, 5, 8}, 2));
  try {
    ops::grouped_linear(x, w, offsets, Precision::kF32);
    FAIL() << "no error, expected: " << message;
  } catch (const ShapeError& error) {
    EXPECT_STREQ(error.what(), message);
  }
}

TEST(GroupedLinearErrors, NameWhatTheyGot) {
  const Tensor x = randn({4, 8}, 1);
  expect_shape_error(x, {0, 4}, "grouped_linear: 2 offsets, 2 experts need 3");
  expect_shape_error(x, {0, 2, 3}, "grouped_linear: offsets must ascend from 0 to 4");
  expect_shape_error(x, {0, 5, 4}, "grouped_linear: offsets must ascend from 0 to 4");
  expect_shape_error(x, {1, 2, 4}, "grouped_linear: offsets must ascend from 0 to 4");
  expect_shape_error(randn({2, 2, 8}, 1), {0, 2, 4},
                     "grouped_linear: x is [2, 2, 8], needs [N, K]");
  expect_shape_error(randn({4, 7}, 1), {0, 2, 4},
                     "grouped_linear: x is [4, 7], w needs 8 in the last axis");
}

}  // namespace
}  // namespace corral
