#include "quant/interleaved.h"

#include <gtest/gtest.h>

#include "quant/dense.h"
#include "support/blocks.h"
#include "support/interleaved.h"

namespace corral::quant {
namespace {

TEST(Interleaved, CodesOfFourNeighboursAndScalesLieWhereTheLayoutSays) {
  const DevicePtr device = test::test_device();
  const Tensor rows = test::blocks_of({32, 64}, DType::kQ8_0, 1, device,
                                      [](int64_t i) { return static_cast<uint8_t>(i * 7); });
  const LinearWeight w = test::interleaved(LinearWeight::out_in(rows));
  const auto* from = reinterpret_cast<const uint8_t*>(rows.data<std::byte>());
  const auto* to = reinterpret_cast<const uint8_t*>(w.data.data<std::byte>());
  for (int64_t row = 0; row < 32; ++row) {
    for (int64_t group = 0; group < 2; ++group) {
      const uint8_t* const block = from + (row * 2 + group) * 34;
      const uint8_t* const other = to + group * 32 * 34;
      for (int64_t i = 0; i < 32; ++i) {
        ASSERT_EQ(other[i / 4 * 128 + row * 4 + i % 4], static_cast<uint8_t>(block[2 + i] + 128));
      }
      EXPECT_EQ(other[1024 + row * 2], block[0]);
      EXPECT_EQ(other[1024 + row * 2 + 1], block[1]);
    }
  }
}

TEST(Interleaved, FloatsLieColumnByColumnAndThoseOfBf16InPairs) {
  const Tensor rows = test::randn({32, 6}, 1);
  const LinearWeight w = test::interleaved(LinearWeight::out_in(rows));
  const Tensor halves = test::to_dtype(rows, DType::kBF16);
  const LinearWeight of_halves = test::interleaved(LinearWeight::out_in(halves));
  for (int64_t row = 0; row < 32; ++row) {
    for (int64_t k = 0; k < 6; ++k) {
      ASSERT_EQ(w.data.data<float>()[k * 32 + row], rows.data<float>()[row * 6 + k]);
      ASSERT_EQ(of_halves.data.data<uint16_t>()[k / 2 * 64 + row * 2 + k % 2],
                halves.data<uint16_t>()[row * 6 + k]);
    }
  }
}

TEST(Interleaved, RowsComeBackAsTheyWere) {
  const DevicePtr device = test::test_device();
  const Tensor floats = test::randn({2, 64, 96}, 3, device);
  for (const Tensor& rows : {test::random_blocks({2, 64, 96}, DType::kQ8_0, 2, device), floats,
                             test::to_dtype(floats, DType::kBF16)}) {
    const LinearWeight w = LinearWeight::out_in(rows);
    const LinearWeight other = test::interleaved(w);
    for (int64_t i = 0; i < 2; ++i) {
      EXPECT_TRUE(test::same_bits(dense_f32(other, i), dense_f32(w, i))) << rows.dtype();
    }
  }
}

TEST(Interleaved, OnlyWholeMatricesOfRowsInTheirOrderCanBe) {
  const DevicePtr device = test::test_device();
  const auto of = [&](const Shape& shape, DType dtype) {
    return LinearWeight::out_in(Tensor(shape, dtype, device));
  };
  EXPECT_TRUE(can_interleave(of({64, 96}, DType::kQ8_0)));
  EXPECT_TRUE(can_interleave(of({3, 32, 32}, DType::kQ8_0)));
  EXPECT_FALSE(can_interleave(of({48, 96}, DType::kQ8_0)));
  EXPECT_FALSE(can_interleave(of({0, 32, 32}, DType::kQ8_0)));
  EXPECT_FALSE(can_interleave(of({64, 96}, DType::kQ4_0)));
  EXPECT_FALSE(can_interleave(of({64, 96}, DType::kF16)));
  EXPECT_TRUE(can_interleave(of({64, 6}, DType::kF32)));
  EXPECT_TRUE(can_interleave(of({64, 6}, DType::kBF16)));
  EXPECT_FALSE(can_interleave(of({64, 7}, DType::kBF16)));
  LinearWeight half = of({64, 96}, DType::kQ8_0);
  half.out_features = 32;
  EXPECT_FALSE(can_interleave(half));
  half.offset = 32 * 96;
  EXPECT_FALSE(can_interleave(half));
}

}  // namespace
}  // namespace corral::quant
