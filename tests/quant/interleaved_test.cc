#include "quant/interleaved.h"

#include <gtest/gtest.h>

#include "quant/dense.h"
#include "support/blocks.h"
#include "support/interleaved.h"

namespace corral::quant {
namespace {

constexpr Interleaving kLayouts[] = {{16, false}, {16, true}, {32, false}, {32, true}};

TEST(Interleaved, CodesOfFourNeighboursAndScalesLieWhereTheLayoutSays) {
  const DevicePtr device = test::test_device();
  const Tensor rows = test::blocks_of({32, 64}, DType::kQ8_0, 1, device,
                                      [](int64_t i) { return static_cast<uint8_t>(i * 7); });
  const auto* from = reinterpret_cast<const uint8_t*>(rows.data<std::byte>());
  for (const Interleaving& how : kLayouts) {
    const LinearWeight w = test::interleaved(LinearWeight::out_in(rows), how);
    const auto* to = reinterpret_cast<const uint8_t*>(w.data.data<std::byte>());
    for (int64_t row = 0; row < 32; ++row) {
      const int64_t place = row % how.rows;
      for (int64_t group = 0; group < 2; ++group) {
        const uint8_t* const block = from + (row * 2 + group) * 34;
        const uint8_t* const other = to + ((row - place) * 2 + group * how.rows) * 34;
        for (int64_t i = 0; i < 32; ++i) {
          const int code = block[2 + i] + (how.unsigned_codes ? 128 : 0);
          ASSERT_EQ(other[(i / 4 * how.rows + place) * 4 + i % 4], static_cast<uint8_t>(code));
        }
        EXPECT_EQ(other[32 * how.rows + place * 2], block[0]);
        EXPECT_EQ(other[32 * how.rows + place * 2 + 1], block[1]);
      }
    }
  }
}

TEST(Interleaved, FloatsLieColumnByColumnAndThoseOfBf16InPairs) {
  const Tensor rows = test::randn({32, 38}, 1);
  const Tensor halves = test::to_dtype(rows, DType::kBF16);
  for (const int64_t at_a_time : {16, 32}) {
    const auto of = [&](const Tensor& data) {
      return test::interleaved(LinearWeight::out_in(data), {.rows = at_a_time}).data;
    };
    const Tensor floats = of(rows);
    const Tensor pairs = of(halves);
    for (int64_t row = 0; row < 32; ++row) {
      const int64_t place = row % at_a_time;
      const int64_t before = (row - place) * 38;
      for (int64_t k = 0; k < 38; ++k) {
        ASSERT_EQ(floats.data<float>()[before + k * at_a_time + place],
                  rows.data<float>()[row * 38 + k]);
        ASSERT_EQ(pairs.data<uint16_t>()[before + (k / 2 * at_a_time + place) * 2 + k % 2],
                  halves.data<uint16_t>()[row * 38 + k]);
      }
    }
  }
}

TEST(Interleaved, RowsComeBackAsTheyWere) {
  const DevicePtr device = test::test_device();
  const Tensor floats = test::randn({2, 64, 96}, 3, device);
  for (const Tensor& rows : {test::random_blocks({2, 64, 96}, DType::kQ8_0, 2, device), floats,
                             test::to_dtype(floats, DType::kBF16)}) {
    const LinearWeight w = LinearWeight::out_in(rows);
    for (const Interleaving& how : kLayouts) {
      const LinearWeight other = test::interleaved(w, how);
      for (int64_t i = 0; i < 2; ++i) {
        EXPECT_TRUE(test::same_bits(dense_f32(other, i), dense_f32(w, i))) << rows.dtype();
      }
    }
  }
}

TEST(Interleaved, OnlyWholeMatricesOfRowsInTheirOrderCanBe) {
  const DevicePtr device = test::test_device();
  const auto of = [&](const Shape& shape, DType dtype) {
    return LinearWeight::out_in(Tensor(shape, dtype, device));
  };
  const Interleaving how = {32, true};
  EXPECT_TRUE(can_interleave(of({64, 96}, DType::kQ8_0), how));
  EXPECT_FALSE(can_interleave(of({64, 96}, DType::kQ8_0), {}));
  EXPECT_TRUE(can_interleave(of({3, 32, 32}, DType::kQ8_0), how));
  EXPECT_FALSE(can_interleave(of({48, 96}, DType::kQ8_0), how));
  EXPECT_TRUE(can_interleave(of({48, 96}, DType::kQ8_0), {16, false}));
  EXPECT_FALSE(can_interleave(of({0, 32, 32}, DType::kQ8_0), how));
  EXPECT_FALSE(can_interleave(of({64, 96}, DType::kQ4_0), how));
  EXPECT_FALSE(can_interleave(of({64, 96}, DType::kF16), how));
  EXPECT_TRUE(can_interleave(of({64, 6}, DType::kF32), how));
  EXPECT_TRUE(can_interleave(of({64, 6}, DType::kBF16), how));
  EXPECT_FALSE(can_interleave(of({64, 7}, DType::kBF16), how));
  LinearWeight half = of({64, 96}, DType::kQ8_0);
  half.out_features = 32;
  EXPECT_FALSE(can_interleave(half, how));
  half.offset = 32 * 96;
  EXPECT_FALSE(can_interleave(half, how));
}

}  // namespace
}  // namespace corral::quant
