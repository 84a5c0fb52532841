#include "quant/block_format.h"

#include <gtest/gtest.h>

#include <set>

#include "base/error.h"
#include "quant/dense.h"
#include "support/block_vectors.h"
#include "support/tensors.h"

namespace corral::quant {
namespace {

TEST(BlockFormat, DequantizesEveryTypeToTheBitsOfItsDefinition) {
  std::set<DType> seen;
  for (const test::BlockVector& vector : test::block_vectors()) {
    seen.insert(vector.dtype);
    const BlockFormat& format = block_format(vector.dtype);
    const auto n = std::ssize(vector.values);
    ASSERT_EQ(std::ssize(vector.blocks), n / format.elements * format.bytes) << vector.dtype;
    std::vector<float> values(vector.values.size());
    format.dequantize(vector.blocks.data(), values.data(), n);
    EXPECT_EQ(std::memcmp(values.data(), vector.values.data(), values.size() * sizeof(float)), 0)
        << vector.dtype;
  }
  for (const DType dtype : all_dtypes()) {
    EXPECT_EQ(seen.contains(dtype), is_block(dtype)) << dtype;
  }
}

TEST(BlockFormat, AgreesWithTheSizesOfTheTypes) {
  for (const DType dtype : all_dtypes()) {
    if (!is_block(dtype)) {
      EXPECT_THROW(block_format(dtype), NotSupported) << dtype;
      continue;
    }
    EXPECT_EQ(block_format(dtype).dtype, dtype);
    EXPECT_EQ(block_format(dtype).elements, block_elements(dtype)) << dtype;
    EXPECT_EQ(block_format(dtype).bytes, block_bytes(dtype)) << dtype;
  }
}

TEST(DenseF32, ReadsEveryMatrixOfAStackOfBlocks) {
  for (const test::BlockVector& vector : test::block_vectors()) {
    const int64_t K = block_elements(vector.dtype);
    const int64_t matrices = 2;
    const int64_t N = std::ssize(vector.values) / K / matrices;
    Tensor data({matrices, N, K}, vector.dtype, test::test_device());
    std::memcpy(data.mutable_data<std::byte>(), vector.blocks.data(), vector.blocks.size());
    const LinearWeight weight = LinearWeight::out_in(data);
    for (int64_t e = 0; e < matrices; ++e) {
      const Tensor dense = dense_f32(weight, e);
      ASSERT_EQ(dense.shape(), (Shape{N, K}));
      EXPECT_EQ(std::memcmp(dense.data<float>(), vector.values.data() + e * N * K,
                            static_cast<size_t>(dense.size_bytes())),
                0)
          << vector.dtype;
    }
  }
}

}  // namespace
}  // namespace corral::quant
