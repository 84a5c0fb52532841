// Keys and values in every type of the cache, chosen apart.

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/error.h"
#include "kv/kv_types.h"
#include "ops/attention/paged_attention.h"
#include "ops/attention_reference.h"
#include "support/op_case.h"

namespace corral::ops {
namespace {

using kv::Batch;
using kv::KvCache;
using kv::KvLayout;
using kv::KvTypes;
using test::AttentionShape;

constexpr int64_t kPlenty = int64_t{1} << 30;
constexpr std::array kTypes = {DType::kF32, DType::kBF16, DType::kQ8_0, DType::kQ4_0};

std::vector<KvTypes> all_pairs() {
  std::vector<KvTypes> pairs;
  for (const DType k : kTypes) {
    for (const DType v : kTypes) pairs.push_back({k, v});
  }
  return pairs;
}

std::string name_of(KvTypes types) { return str(types.k, ", ", types.v); }

KvLayout layout_of(const AttentionShape& shape, KvTypes types) {
  KvLayout layout;
  layout.chunk_sizes = {shape.chunk_size};
  layout.kv_heads = shape.kv_heads;
  layout.head_dim = shape.head_size;
  layout.types = types;
  return layout;
}

Tensor feed(KvCache& cache, int64_t sequence, const AttentionShape& shape, const Tensor& q,
            const Tensor& k, const Tensor& v) {
  Batch batch;
  batch.append(std::vector<int32_t>(static_cast<size_t>(q.dim(0))), cache.length(sequence),
               sequence);
  cache.prepare(batch);
  Tensor out = paged_attention(q, k, v, cache.layer(0), batch, shape.span(), shape.scale());
  cache.commit(batch);
  return out;
}

/// All rows, `piece` at a time.
Tensor feed_all(KvTypes types, const AttentionShape& shape, const Tensor& q, const Tensor& k,
                const Tensor& v, int64_t piece) {
  KvCache cache(layout_of(shape, types), q.device(), kPlenty);
  const int64_t sequence = cache.create();
  Tensor out = empty_like(q);
  for (int64_t begin = 0; begin < shape.rows(); begin += piece) {
    const int64_t end = std::min(begin + piece, shape.rows());
    const Tensor rows =
        feed(cache, sequence, shape, q.rows(begin, end), k.rows(begin, end), v.rows(begin, end));
    std::memcpy(out.mutable_data<float>() + begin * shape.heads * shape.head_size,
                rows.data<float>(), static_cast<size_t>(rows.size_bytes()));
  }
  return out;
}

/// The numbers that the cache makes of x [T, K, C], written down from the types' definition.
std::vector<double> stored(const Tensor& x, DType type) {
  if (type == DType::kF32 || type == DType::kBF16) {
    return test::to_double(test::to_dtype(x, type));
  }
  const int64_t C = x.dim(2);
  std::vector<double> values = test::to_double(x);
  for (int64_t row = 0; row < x.dim(0) * x.dim(1); ++row) {
    for (int64_t c = 0; c < C; c += 32) {
      const auto begin = values.begin() + row * C + c;
      const auto end = begin + std::min<int64_t>(32, C - c);
      const double most = *std::max_element(
          begin, end, [](double a, double b) { return std::abs(a) < std::abs(b); });
      const bool q8 = type == DType::kQ8_0;
      const auto wanted = static_cast<float>(q8 ? std::abs(most) / 127 : most / -8);
      const auto scale = static_cast<double>(f16_to_f32(f32_to_f16(wanted)));
      for (auto value = begin; value != end; ++value) {
        const double code =
            std::clamp(std::round(*value / scale), q8 ? -127.0 : -8.0, q8 ? 127.0 : 7.0);
        *value = scale == 0 ? 0 : code * scale;
      }
    }
  }
  return values;
}

/// What rounding queries and weights to bf16 adds, where the instruction set multiplies them so.
double product_tolerance(KvTypes types, simd::Isa isa) {
  const bool rounded = types.k == DType::kBF16 || types.v == DType::kBF16;
  return rounded && (isa == simd::Isa::kAvx512Bf16 || isa == simd::Isa::kAmx) ? 0x1p-8 : 1e-6;
}

class KvTypesOf : public ::testing::TestWithParam<AttentionShape> {};

TEST_P(KvTypesOf, AttendsToWhatTheDefinitionOfTheTypesSays) {
  for (const simd::Isa isa : test::machine_isas()) {
    const DevicePtr device = test::test_device(isa, 2);
    const AttentionShape& shape = GetParam();
    const Tensor q = shape.q(1, device);
    const Tensor k = shape.k(2, device);
    const Tensor v = shape.k(3, device);
    for (const KvTypes types : all_pairs()) {
      const test::AttentionResult wanted = test::attention_reference(
          shape, test::to_double(q), stored(k, types.k), stored(v, types.v));
      const Tensor out = feed_all(types, shape, q, k, v, shape.rows());
      // A tie between two codes may fall either way in f32: such a value is half a step off.
      const double ties = is_block(types.k) || is_block(types.v) ? 1e-3 : 0;
      EXPECT_LE(test::relative_error(test::to_double(out), wanted.out),
                product_tolerance(types, isa) + ties)
          << name_of(types) << " on " << simd::isa_name(isa);
    }
  }
}

TEST_P(KvTypesOf, GivesTheSameBitsForEveryCutAndAnyThreads) {
  const AttentionShape& shape = GetParam();
  for (const simd::Isa isa : test::machine_isas()) {
    for (const KvTypes types : all_pairs()) {
      Tensor first;
      for (const auto& [threads, piece] : {std::pair<int, int64_t>{1, 1000}, {1, 1}, {3, 33}}) {
        const DevicePtr device = test::test_device(isa, threads);
        const Tensor out = feed_all(types, shape, shape.q(1, device), shape.k(2, device),
                                    shape.k(3, device), piece);
        if (!first.defined()) first = out;
        EXPECT_TRUE(test::same_bits(first, out))
            << name_of(types) << " on " << simd::isa_name(isa) << ", pieces of " << piece;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Shapes, KvTypesOf,
    ::testing::Values(
        AttentionShape{.segments = {{0, 130}}, .heads = 5, .head_size = 32},
        AttentionShape{.segments = {{0, 70}}, .heads = 2, .head_size = 20, .chunk_size = 33},
        AttentionShape{
            .segments = {{0, 67}}, .heads = 6, .kv_heads = 2, .head_size = 48, .chunk_size = 8},
        AttentionShape{.segments = {{0, 65}}, .heads = 7, .head_size = 128, .chunk_size = 64}));

TEST(KvTypes, LoseLittleAgainstF32) {
  const AttentionShape shape = {
      .segments = {{0, 200}}, .heads = 10, .kv_heads = 2, .head_size = 64};
  const DevicePtr device = test::test_device();
  const Tensor q = shape.q(1, device);
  const Tensor k = shape.k(2, device);
  const Tensor v = shape.k(3, device);
  const auto exact = test::to_double(feed_all({}, shape, q, k, v, 200));
  const auto error = [&](DType key, DType value) {
    return test::relative_error(test::to_double(feed_all({key, value}, shape, q, k, v, 200)),
                                exact);
  };
  // A code of q8_0 is off by at most 1/254 of the greatest of its block, one of q4_0 by 1/16; the
  // greatest of 32 normal values is about 2, and the average of many errors is smaller.
  EXPECT_LT(error(DType::kBF16, DType::kBF16), 0.005);
  EXPECT_LT(error(DType::kQ8_0, DType::kQ8_0), 0.01);
  EXPECT_LT(error(DType::kQ8_0, DType::kQ4_0), 0.1);
  EXPECT_LT(error(DType::kQ4_0, DType::kQ8_0), 0.1);
  EXPECT_LT(error(DType::kQ4_0, DType::kQ4_0), 0.15);
  EXPECT_GT(error(DType::kQ4_0, DType::kQ4_0), error(DType::kQ8_0, DType::kQ8_0));
}

TEST(KvTypes, KeysAndValuesOfZeroAreNoSpecialCase) {
  const AttentionShape shape = {.segments = {{0, 3}}, .head_size = 32};
  const DevicePtr device = test::test_device();
  const Tensor zero = Tensor::zeros({3, 1, 32}, DType::kF32, device);
  for (const KvTypes types : all_pairs()) {
    const Tensor out = feed_all(types, shape, shape.q(1, device), zero, zero, 1);
    for (const float value : out.values<float>()) EXPECT_EQ(value, 0) << name_of(types);
  }
}

TEST(KvTypes, DamageShowsInTheRowsThatSeeIt) {
  const AttentionShape shape = {.segments = {{0, 70}}, .head_size = 32};
  for (const simd::Isa isa : test::machine_isas()) {
    const DevicePtr device = test::test_device(isa, 1);
    for (const float bad : {NAN, INFINITY}) {
      for (const KvTypes types : all_pairs()) {
        Tensor v = shape.k(3, device).clone();
        v.mutable_data<float>()[65 * 32 + 7] = bad;
        const Tensor out = feed_all(types, shape, shape.q(1, device), shape.k(2, device), v, 70);
        EXPECT_FALSE(std::isfinite(out.data<float>()[69 * 32 + 7])) << name_of(types);
        EXPECT_TRUE(std::isfinite(out.data<float>()[63 * 32 + 7])) << name_of(types);
      }
    }
  }
}

/// Copies the first tile of one sequence over tiles [begin, end) of another.
void copy_tiles(const KvCache& cache, int64_t from, int64_t to, int64_t begin, int64_t end) {
  const kv::KvSequenceView source = cache.layer(0).sequence(from);
  const kv::KvSequenceView target = cache.layer(0).sequence(to);
  const KvTypes types = cache.layout().types;
  const int64_t C = cache.layout().head_dim;
  for (int64_t tile = begin; tile < end; ++tile) {
    std::memcpy(target.k_tile(tile * 64, 0), source.k_tile(0, 0),
                static_cast<size_t>(kv::key_tile_bytes(types.k, C)));
    std::memcpy(target.v_tile(tile * 64, 0), source.v_tile(0, 0),
                static_cast<size_t>(kv::value_tile_bytes(types.v, C)));
  }
}

// 131072 tokens of hay and one needle among them, in the types that are rounded most: sums that
// were kept in fewer bits than f32 would lose it, or the hay.
TEST(KvTypes, FindANeedleBehind128kTokens_FactsRow27) {
  constexpr int64_t kTiles = 2048;
  constexpr int64_t kNeedleTile = 777;
  constexpr int64_t kNeedle = 17;  // within its tile
  const AttentionShape tile = {.segments = {{0, 64}}, .head_size = 32};
  const DevicePtr device = test::test_device();
  const Tensor hay_k = tile.k(1, device);
  const Tensor hay_v = tile.k(2, device);
  const Tensor q = test::randn({1, 1, 32}, 3, device);
  // The needle's score is about that of all hay together: exp(12) and 131072 keys.
  Tensor needle_k = hay_k.clone();
  double norm = 0;
  for (const float x : q.values<float>()) norm += static_cast<double>(x) * static_cast<double>(x);
  for (int64_t c = 0; c < 32; ++c) {
    needle_k.mutable_data<float>()[kNeedle * 32 + c] =
        q.data<float>()[c] * static_cast<float>(12 * std::sqrt(32.0) / norm);
  }
  for (const KvTypes types : {KvTypes{DType::kQ8_0, DType::kQ8_0},
                              {DType::kQ4_0, DType::kQ4_0},
                              {DType::kBF16, DType::kBF16}}) {
    KvCache cache(layout_of(tile, types), device, kPlenty);
    const int64_t hay = cache.create();
    feed(cache, hay, tile, tile.q(4, device), hay_k, hay_v);
    const int64_t needle = cache.create();
    feed(cache, needle, tile, tile.q(4, device), needle_k, hay_v);
    const int64_t all = cache.create();
    Batch batch;
    batch.append(std::vector<int32_t>(kTiles * 64), 0, all);
    cache.prepare(batch);
    cache.commit(batch);
    copy_tiles(cache, hay, all, 0, kTiles);
    copy_tiles(cache, needle, all, kNeedleTile, kNeedleTile + 1);
    // The asking token has the first key and value of the hay.
    const Tensor out = feed(cache, all, tile, q, hay_k.rows(0, 1), hay_v.rows(0, 1));

    const auto k = stored(hay_k, types.k);
    const auto needle_row = stored(needle_k, types.k);
    const auto v = stored(hay_v, types.v);
    std::vector<double> wanted(32);
    double total = 0;
    const auto add = [&](const std::vector<double>& keys, int64_t j, double times) {
      double score = 0;
      for (int64_t c = 0; c < 32; ++c) {
        score += static_cast<double>(q.data<float>()[c]) * keys[static_cast<size_t>(j * 32 + c)];
      }
      const double weight = times * std::exp(score / std::sqrt(32.0));
      total += weight;
      for (size_t c = 0; c < 32; ++c) wanted[c] += weight * v[static_cast<size_t>(j) * 32 + c];
    };
    for (int64_t j = 0; j < 64; ++j) {
      add(k, j, static_cast<double>(kTiles - (j == kNeedle ? 1 : 0) + (j == 0 ? 1 : 0)));
    }
    add(needle_row, kNeedle, 1);
    for (double& x : wanted) x /= total;
    const double error = test::relative_error(test::to_double(out), wanted);
    EXPECT_LE(error, types.k == DType::kBF16 ? 0x1p-6 : 1e-3) << name_of(types);
  }
}

}  // namespace
}  // namespace corral::ops
