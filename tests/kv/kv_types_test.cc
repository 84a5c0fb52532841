#include "kv/kv_types.h"

#include <gtest/gtest.h>

#include <utility>

#include "base/error.h"
#include "kv/kv_cache.h"
#include "support/tensors.h"

namespace corral::kv {
namespace {

TEST(KvTypes, TakeTheBytesThatTheirBitsSay) {
  // 128 channels: 4 blocks with an f16 each.
  for (const auto& [type, bytes] : {std::pair<DType, int64_t>{DType::kF32, 512},
                                    {DType::kBF16, 256},
                                    {DType::kQ8_0, 128 + 8},
                                    {DType::kQ4_0, 64 + 8}}) {
    EXPECT_EQ(key_tile_bytes(type, 128), 64 * bytes);
    EXPECT_EQ(value_tile_bytes(type, 128), 64 * bytes);
  }
}

TEST(KvTypes, OfKeysAndValuesShareAPage) {
  KvLayout layout;
  layout.chunk_sizes = {0, 0};
  layout.kv_heads = 3;
  layout.head_dim = 128;
  layout.types = {DType::kQ8_0, DType::kQ4_0};
  KvCache cache(layout, test::test_device(), 1 << 30);
  const int64_t sequence = cache.create();
  Batch batch;
  batch.append(std::vector<int32_t>(65), 0, sequence);
  cache.prepare(batch);
  EXPECT_EQ(cache.bytes(), int64_t{2} * 64 * 2 * 3 * (128 + 8 + 64 + 8));
  const KvSequenceView view = cache.layer(1).sequence(sequence);
  EXPECT_EQ(view.v_tile(0, 2) - view.k_tile(0, 2), key_tile_bytes(DType::kQ8_0, 128));
  EXPECT_EQ(view.k_tile(0, 2) - view.v_tile(0, 1), value_tile_bytes(DType::kQ4_0, 128));
}

TEST(KvTypes, AreReadFromTheirNames) {
  EXPECT_EQ(parse_kv_types("bf16"), (KvTypes{DType::kBF16, DType::kBF16}));
  EXPECT_EQ(parse_kv_types("q8_0,q4_0"), (KvTypes{DType::kQ8_0, DType::kQ4_0}));
  for (const char* wrong : {"", "q4_k", "f32,", ",f32", "f32,f32,f32", "F32"}) {
    EXPECT_THROW(parse_kv_types(wrong), UsageError) << wrong;
  }
}

}  // namespace
}  // namespace corral::kv
