#include "ops/attention/paged_attention.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <cstring>

#include "ops/attention/attention.h"
#include "ops/attention_reference.h"
#include "support/op_case.h"

namespace corral::ops {
namespace {

using kv::Batch;
using kv::KvCache;
using kv::KvLayout;
using test::AttentionShape;

constexpr int64_t kPlenty = int64_t{1} << 30;

std::vector<int32_t> tokens(int64_t n) { return std::vector<int32_t>(static_cast<size_t>(n)); }

KvLayout layout_of(const AttentionShape& shape) {
  KvLayout layout;
  layout.chunk_sizes = {shape.chunk_size};
  layout.kv_heads = shape.kv_heads;
  layout.head_dim = shape.head_size;
  return layout;
}

/// The queries, keys and values of one whole sequence, and a cache to feed them to.
struct Sequence {
  Sequence(const AttentionShape& of, const DevicePtr& device, uint64_t seed = 1)
      : shape(of), q(of.q(seed, device)), k(of.k(seed + 1, device)), v(of.k(seed + 2, device)) {}

  /// Rows [begin, end) through the cache.
  Tensor feed(KvCache& cache, int64_t sequence, int64_t begin, int64_t end) const {
    Batch batch;
    batch.append(tokens(end - begin), begin, sequence);
    cache.prepare(batch);
    const Tensor out = paged_attention(q.rows(begin, end), k.rows(begin, end), v.rows(begin, end),
                                       cache.layer(0), batch, shape.span(), shape.scale());
    cache.commit(batch);
    return out;
  }
  /// All rows, `piece` at a time.
  Tensor feed_all(KvCache& cache, int64_t sequence, int64_t piece) const {
    Tensor out = empty_like(q);
    for (int64_t begin = cache.length(sequence); begin < shape.rows(); begin += piece) {
      const int64_t end = std::min(begin + piece, shape.rows());
      const Tensor rows = feed(cache, sequence, begin, end);
      std::memcpy(out.mutable_data<float>() + begin * shape.heads * shape.head_size,
                  rows.data<float>(), static_cast<size_t>(rows.size_bytes()));
    }
    return out;
  }
  Tensor whole() const { return attention(q, k, v, shape.batch(), shape.span(), shape.scale()); }

  AttentionShape shape;
  Tensor q;
  Tensor k;
  Tensor v;
};

class PagedAttention : public ::testing::TestWithParam<AttentionShape> {};

TEST_P(PagedAttention, GivesTheBitsOfTheWholeSequenceForEveryCut) {
  for (const simd::Isa isa : test::machine_isas()) {
    for (const int threads : {1, 3}) {
      const DevicePtr device = test::test_device(isa, threads);
      const Sequence sequence(GetParam(), device);
      const Tensor whole = sequence.whole();
      for (const int64_t piece : {1, 7, 16, 33, 1000}) {
        KvCache cache(layout_of(GetParam()), device, kPlenty);
        EXPECT_TRUE(test::same_bits(whole, sequence.feed_all(cache, cache.create(), piece)))
            << simd::isa_name(isa) << ", " << threads << " threads, pieces of " << piece;
      }
    }
  }
}
INSTANTIATE_TEST_SUITE_P(
    Shapes, PagedAttention,
    ::testing::Values(
        AttentionShape{.segments = {{0, 1}}},
        AttentionShape{.segments = {{0, 150}}, .heads = 5, .head_size = 32},
        AttentionShape{.segments = {{0, 41}}, .heads = 2, .chunk_size = 4},
        AttentionShape{.segments = {{0, 150}}, .heads = 4, .kv_heads = 2, .chunk_size = 8},
        AttentionShape{
            .segments = {{0, 71}}, .heads = 3, .kv_heads = 3, .head_size = 64, .chunk_size = 16},
        AttentionShape{.segments = {{0, 233}}, .heads = 5, .head_size = 32, .chunk_size = 100},
        AttentionShape{.segments = {{0, 300}}, .head_size = 128, .chunk_size = 128},
        AttentionShape{.segments = {{0, 70}}, .heads = 2, .head_size = 20}));

// Three key ranges of 2048, of which the last 104 positions see all or, once the chunk has ended,
// those behind its end. (ik_llama.cpp 8337e4cd gives a layer with chunks the last 512 keys.)
// Keys and values of all rows are written, whichever rows attend.
TEST_P(PagedAttention, GivesSomeRowsWhatItGivesAll) {
  const AttentionShape& shape = GetParam();
  for (const simd::Isa isa : test::machine_isas()) {
    const DevicePtr device = test::test_device(isa, 2);
    const Sequence whole(shape, device);
    const int64_t rows = shape.rows();
    const int64_t piece = rows / 2 + 1;
    KvCache all_rows(layout_of(shape), device, kPlenty);
    const Tensor wanted = whole.feed_all(all_rows, all_rows.create(), piece);
    KvCache cache(layout_of(shape), device, kPlenty);
    const int64_t sequence = cache.create();
    for (int64_t begin = 0; begin < rows; begin += piece) {
      const int64_t end = std::min(begin + piece, rows);
      Batch batch;
      batch.append(tokens(end - begin), begin, sequence);
      cache.prepare(batch);
      const Batch last = batch.of_rows(std::vector<int64_t>{end - begin - 1});
      const Batch none = batch.of_rows({});
      const bool at_end = end == rows;
      const Tensor out =
          paged_attention(at_end ? whole.q.rows(end - 1, end) : whole.q.rows(end, end),
                          whole.k.rows(begin, end), whole.v.rows(begin, end), cache.layer(0), batch,
                          shape.span(), shape.scale(), at_end ? &last : &none);
      cache.commit(batch);
      EXPECT_EQ(out.dim(0), at_end ? 1 : 0);
      if (at_end) {
        EXPECT_TRUE(test::same_bits(out, wanted.rows(rows - 1, rows))) << simd::isa_name(isa);
      }
    }
  }
}

TEST(PagedAttention, SplitsLongContextsBetweenThreadsWithoutChangingABit) {
  for (const int64_t chunk : {0, 4160}) {
    const AttentionShape shape = {.segments = {{0, 4200}}, .heads = 2, .chunk_size = chunk};
    Tensor wanted;
    for (const int threads : {1, 2, 5}) {
      const DevicePtr device = test::test_device(simd::detect_isa(), threads);
      const Sequence sequence(shape, device);
      if (threads == 1) wanted = sequence.whole().rows(4096, 4200).clone();
      KvCache cache(layout_of(shape), device, kPlenty);
      const int64_t id = cache.create();
      sequence.feed(cache, id, 0, 4096);
      for (int64_t position = 4096; position < 4200; ++position) {
        ASSERT_TRUE(test::same_bits(wanted.rows(position - 4096, position - 4095),
                                    sequence.feed(cache, id, position, position + 1)))
            << "position " << position << ", chunks of " << chunk << ", " << threads << " threads";
      }
    }
  }
}

TEST(PagedAttention, DecodesOneByOneAcrossChunks_FactsRow11) {
  for (const int64_t chunk : {4, 8}) {
    for (const int64_t length : {3, 9, 13, 21, 66}) {
      const AttentionShape shape = {.segments = {{0, length}}, .heads = 2, .chunk_size = chunk};
      const DevicePtr device = test::test_device();
      const Sequence sequence(shape, device);
      KvCache cache(layout_of(shape), device, kPlenty);
      const Tensor out = sequence.feed_all(cache, cache.create(), 1);
      const test::AttentionResult wanted =
          test::attention_reference(shape, test::to_double(sequence.q), test::to_double(sequence.k),
                                    test::to_double(sequence.v));
      EXPECT_LE(test::relative_error(test::to_double(out), wanted.out), 1e-6);
    }
  }
}

TEST(PagedAttention, GivesARowTheSameBitsWhateverElseIsInTheBatch_FactsRow10) {
  const AttentionShape shape = {
      .segments = {{0, 90}}, .heads = 5, .head_size = 32, .chunk_size = 16};
  const DevicePtr device = test::test_device();
  const Sequence a(shape, device, 10);
  const Sequence b(shape, device, 20);
  KvCache cache(layout_of(shape), device, kPlenty);
  const int64_t id_a = cache.create();
  const int64_t id_b = cache.create();
  a.feed(cache, id_a, 0, 30);
  b.feed(cache, id_b, 0, 7);
  // A decode step of b beside a prompt piece of a that crosses two chunk borders.
  Batch mixed;
  mixed.append(tokens(1), 7, id_b);
  mixed.append(tokens(20), 30, id_a);
  const auto join = [&](const Tensor& of_b, const Tensor& of_a) {
    std::vector<float> values(of_b.values<float>().begin() + 7 * of_b.numel() / 90,
                              of_b.values<float>().begin() + 8 * of_b.numel() / 90);
    values.insert(values.end(), of_a.values<float>().begin() + 30 * of_a.numel() / 90,
                  of_a.values<float>().begin() + 50 * of_a.numel() / 90);
    return Tensor::from(values, {21, of_a.dim(1), of_a.dim(2)}, device);
  };
  cache.prepare(mixed);
  const Tensor out = paged_attention(join(b.q, a.q), join(b.k, a.k), join(b.v, a.v), cache.layer(0),
                                     mixed, shape.span(), shape.scale());
  cache.commit(mixed);
  EXPECT_TRUE(test::same_bits(out.rows(0, 1), b.whole().rows(7, 8)));
  EXPECT_TRUE(test::same_bits(out.rows(1, 21), a.whole().rows(30, 50)));
}

TEST(PagedAttention, AWarmPrefixGivesTheLogitsOfAColdStart_FactsRow12) {
  for (const int64_t chunk : {0, 8, 64, 100}) {
    const AttentionShape shape = {.segments = {{0, 250}}, .heads = 2, .chunk_size = chunk};
    const DevicePtr device = test::test_device();
    const Sequence sequence(shape, device);
    const Tensor whole = sequence.whole();
    KvCache cache(layout_of(shape), device, kPlenty);
    const int64_t stored = cache.create();
    sequence.feed(cache, stored, 0, 170);
    // A new prompt shares 3, 99, 160 or all 170 tokens with the stored one.
    for (const int64_t shared : {3, 99, 160, 170}) {
      const int64_t warm = cache.fork(stored);
      const int64_t whole_prefix = cache.restorable(warm, shared);
      ASSERT_LE(whole_prefix, shared);
      if (chunk == 0) {
        ASSERT_EQ(whole_prefix, shared);
      } else {
        ASSERT_LT(shared - whole_prefix, chunk);
      }
      cache.truncate(warm, whole_prefix);
      const Tensor out = sequence.feed(cache, warm, whole_prefix, 250);
      EXPECT_TRUE(test::same_bits(out, whole.rows(whole_prefix, 250)))
          << "chunk " << chunk << ", shared " << shared;
      cache.release(warm);
    }
    // The stored sequence was not touched by those that shared its pages.
    EXPECT_TRUE(test::same_bits(sequence.feed(cache, stored, 170, 250), whole.rows(170, 250)));
  }
}

TEST(PagedAttention, ForksGoTheirOwnWays) {
  const AttentionShape shape = {.segments = {{0, 100}}, .heads = 2};
  const DevicePtr device = test::test_device();
  const Sequence a(shape, device, 1);
  Sequence b(shape, device, 5);
  // b has a's first 70 tokens: the page from 64 on is shared and partly filled.
  for (auto [to, from] : {std::pair{&b.q, &a.q}, {&b.k, &a.k}, {&b.v, &a.v}}) {
    std::memcpy(to->mutable_data<float>(), from->data<float>(),
                static_cast<size_t>(to->rows(0, 70).size_bytes()));
  }
  KvCache cache(layout_of(shape), device, kPlenty);
  const int64_t first = cache.create();
  a.feed(cache, first, 0, 70);
  const int64_t second = cache.fork(first);
  for (int64_t begin = 70; begin < 100; begin += 10) {
    EXPECT_TRUE(test::same_bits(a.feed(cache, first, begin, begin + 10),
                                a.whole().rows(begin, begin + 10)));
    EXPECT_TRUE(test::same_bits(b.feed(cache, second, begin, begin + 10),
                                b.whole().rows(begin, begin + 10)));
  }
}

TEST(PagedAttention, LayersOfOneKindKeepTheirOwnKeys) {
  const AttentionShape shape = {.segments = {{0, 20}}, .heads = 2, .chunk_size = 8};
  const DevicePtr device = test::test_device();
  KvLayout layout = layout_of(shape);
  layout.chunk_sizes = {8, 0, 8};
  KvCache cache(layout, device, kPlenty);
  const int64_t id = cache.create();
  Batch batch;
  batch.append(tokens(20), 0, id);
  cache.prepare(batch);
  for (const int64_t layer : {0, 1, 2}) {
    AttentionShape own = shape;
    own.chunk_size = layout.chunk_sizes[static_cast<size_t>(layer)];
    const Sequence sequence(own, device, static_cast<uint64_t>(10 * layer));
    paged_attention(sequence.q, sequence.k, sequence.v, cache.layer(layer), batch, own.span(),
                    own.scale());
  }
  cache.commit(batch);
  // One more token reads what each layer stored.
  Batch next;
  next.append(tokens(1), 20, id);
  cache.prepare(next);
  for (const int64_t layer : {0, 1, 2}) {
    AttentionShape longer = shape;
    longer.segments = {{0, 21}};
    longer.chunk_size = layout.chunk_sizes[static_cast<size_t>(layer)];
    const Sequence sequence(longer, device, static_cast<uint64_t>(10 * layer));
    const Tensor out =
        paged_attention(sequence.q.rows(20, 21), sequence.k.rows(20, 21), sequence.v.rows(20, 21),
                        cache.layer(layer), next, longer.span(), longer.scale());
    EXPECT_TRUE(test::same_bits(out, sequence.whole().rows(20, 21))) << layer;
  }
}

TEST(PagedAttentionErrors, SayWhatIsMissing) {
  const AttentionShape shape = {.segments = {{0, 4}}, .chunk_size = 8};
  const DevicePtr device = test::test_device();
  const Sequence sequence(shape, device);
  KvCache cache(layout_of(shape), device, kPlenty);
  Batch batch;
  batch.append(tokens(4), 0, cache.create());
  const auto run = [&](const Tensor& q, kv::AttentionSpan span) {
    paged_attention(q, sequence.k, sequence.v, cache.layer(0), batch, span, 1);
  };
  EXPECT_THAT([&] { run(sequence.q, shape.span()); },
              ::testing::ThrowsMessage<UsageError>(::testing::HasSubstr("prepare the batch")));
  cache.prepare(batch);
  EXPECT_THAT([&] { run(sequence.q, {16}); },
              ::testing::ThrowsMessage<UsageError>(::testing::HasSubstr("chunks of 16")));
  EXPECT_THROW(run(autograd::parameter(sequence.q), shape.span()), NotSupported);
  run(sequence.q, shape.span());

  const AttentionShape wide = {.segments = {{0, 4}}, .head_size = 32, .chunk_size = 8};
  const Sequence other(wide, device);
  EXPECT_THAT(
      [&] { paged_attention(other.q, other.k, other.v, cache.layer(0), batch, wide.span(), 1); },
      ::testing::ThrowsMessage<UsageError>(::testing::HasSubstr("1 heads of 16")));
}

}  // namespace
}  // namespace corral::ops
