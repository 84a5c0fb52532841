#include "ops/attention/attention.h"

#include <gmock/gmock.h>

#include <cmath>
#include <limits>

#include "ops/attention_reference.h"
#include "support/op_case.h"

namespace corral::ops {
namespace {

using test::AttentionShape;

class Attention : public ::testing::TestWithParam<AttentionShape> {};

test::OpCase op_case(const AttentionShape& shape) {
  return {.name = "attention",
          .inputs = {shape.q(1), shape.k(2), shape.k(3)},
          .op =
              [shape](const std::vector<Tensor>& in) {
                return attention(in[0], in[1], in[2], shape.batch(), shape.span(), shape.scale());
              },
          .reference =
              [shape](const test::Values& in) {
                return test::attention_reference(shape, in[0], in[1], in[2]).out;
              },
          .terms = std::max<int64_t>(shape.rows(), shape.head_size)};
}

TEST_P(Attention, MatchesTheFormulaAndFiniteDifferences) {
  const test::OpCase c = op_case(GetParam());
  check_forward(c);
  check_grad(c);
}
INSTANTIATE_TEST_SUITE_P(
    Shapes, Attention,
    ::testing::Values(
        AttentionShape{.segments = {{0, 7}}, .heads = 3, .chunk_size = 4},
        AttentionShape{.segments = {{0, 5}, {0, 1}, {0, 9}}, .heads = 2, .kv_heads = 2},
        AttentionShape{.segments = {{0, 17}}, .heads = 4, .kv_heads = 2, .chunk_size = 8},
        AttentionShape{.segments = {{3, 6}, {13, 7}}, .heads = 2, .chunk_size = 8},
        AttentionShape{.segments = {{60, 9}}, .heads = 2},
        AttentionShape{.segments = {{0, 6}}, .heads = 2, .head_size = 5},
        AttentionShape{.segments = {{0, 3}}, .heads = 1, .head_size = 48},
        AttentionShape{.segments = {{0, 5}, {0, 1}, {0, 9}}, .heads = 2, .causal = false},
        AttentionShape{
            .segments = {{62, 7}}, .heads = 4, .kv_heads = 2, .head_size = 6, .causal = false}));

class AttentionLarge : public ::testing::TestWithParam<AttentionShape> {};

TEST_P(AttentionLarge, MatchesTheFormulaAndItsGradients) {
  const AttentionShape shape = GetParam();
  const Tensor q = shape.q(1);
  const Tensor k = shape.k(2);
  const Tensor v = shape.k(3);
  const Tensor dout = shape.q(4);
  const test::AttentionResult wanted = test::attention_reference(
      shape, test::to_double(q), test::to_double(k), test::to_double(v), test::to_double(dout));
  const double bound = test::tolerance(DType::kF32, shape.rows());
  for (const simd::Isa isa : test::machine_isas()) {
    SCOPED_TRACE(simd::isa_name(isa));
    std::vector<Tensor> first;
    for (const int threads : {1, 3}) {
      const DevicePtr device = test::test_device(isa, threads);
      const Tensor q_p = autograd::parameter(test::copy_to(q, device));
      const Tensor k_p = autograd::parameter(test::copy_to(k, device));
      const Tensor v_p = autograd::parameter(test::copy_to(v, device));
      const Tensor out = attention(q_p, k_p, v_p, shape.batch(), shape.span(), shape.scale());
      autograd::backward(out, test::copy_to(dout, device));
      const std::vector<Tensor> got = {out, autograd::gradient(q_p), autograd::gradient(k_p),
                                       autograd::gradient(v_p)};
      if (threads == 1) {
        EXPECT_LE(test::relative_error(test::to_double(got[0]), wanted.out), bound);
        EXPECT_LE(test::relative_error(test::to_double(got[1]), wanted.dq), 8 * bound);
        EXPECT_LE(test::relative_error(test::to_double(got[2]), wanted.dk), 8 * bound);
        EXPECT_LE(test::relative_error(test::to_double(got[3]), wanted.dv), 8 * bound);
        first = got;
      }
      for (size_t i = 0; i < got.size(); ++i) EXPECT_TRUE(test::same_bits(got[i], first[i])) << i;
    }
  }
}
INSTANTIATE_TEST_SUITE_P(
    Shapes, AttentionLarge,
    ::testing::Values(
        AttentionShape{.segments = {{0, 333}, {0, 130}, {0, 64}},
                       .heads = 5,
                       .head_size = 32,
                       .chunk_size = 128},
        AttentionShape{.segments = {{0, 333}, {0, 1}, {7, 130}}, .heads = 5, .head_size = 32},
        AttentionShape{.segments = {{0, 201}}, .heads = 2, .kv_heads = 2, .chunk_size = 16},
        AttentionShape{
            .segments = {{0, 201}}, .heads = 4, .kv_heads = 2, .head_size = 64, .chunk_size = 100},
        AttentionShape{.segments = {{0, 150}}, .heads = 3, .head_size = 128},
        AttentionShape{.segments = {{0, 150}}, .heads = 6, .kv_heads = 2, .head_size = 24},
        // Long enough for several key ranges forward and several pieces backward.
        AttentionShape{.segments = {{5, 2200}}, .heads = 1},
        AttentionShape{.segments = {{5, 2200}}, .heads = 1, .causal = false},
        // A tile of the image tower, and a short one behind it.
        AttentionShape{
            .segments = {{0, 577}, {0, 3}}, .heads = 1, .head_size = 88, .causal = false}));

TEST(Attention, SeesItsChunkAloneAround8192And16384_FactsRow8) {
  const AttentionShape shape = {.segments = {{0, 16386}}, .head_size = 16, .chunk_size = 8192};
  const Tensor q = shape.q(1);
  const Tensor k = shape.k(2);
  const Tensor v = shape.k(3);
  const Tensor out = attention(q, k, v, shape.batch(), shape.span(), shape.scale());
  const auto all = [](const Tensor& x, int64_t begin, int64_t end) {
    return test::to_double(x.rows(begin, end));
  };
  for (const int64_t position : {8191, 8192, 8193, 16383, 16384, 16385}) {
    const std::vector<double> query = all(q, position, position + 1);
    std::vector<double> wanted(16);
    double sum = 0;
    for (int64_t s = position / 8192 * 8192; s <= position; ++s) {
      const std::vector<double> key = all(k, s, s + 1);
      const std::vector<double> value = all(v, s, s + 1);
      double score = 0;
      for (size_t c = 0; c < 16; ++c) score += query[c] * key[c];
      const double p = std::exp(score * static_cast<double>(shape.scale()));
      sum += p;
      for (size_t c = 0; c < 16; ++c) wanted[c] += p * value[c];
    }
    for (double& x : wanted) x /= sum;
    EXPECT_LE(test::relative_error(all(out, position, position + 1), wanted), 1e-5) << position;
  }
}

TEST(Attention, ChunkIsNotASlidingWindow_FactsRow9) {
  for (const int64_t chunk : {4, 8, 16, 100}) {
    const AttentionShape shape = {.segments = {{0, 2 * chunk + 1}}, .chunk_size = chunk};
    const Tensor v = shape.k(3);
    const Tensor out =
        attention(shape.q(1), shape.k(2), v, shape.batch(), shape.span(), shape.scale());
    // The first token of a chunk sees exactly one key, its own.
    for (const int64_t position : {int64_t{0}, chunk, 2 * chunk}) {
      EXPECT_EQ(test::to_double(out.rows(position, position + 1)),
                test::to_double(v.rows(position, position + 1)));
    }
  }
}

TEST(Attention, ChunksStartAtThePositionNotInTheBatch_FactsRow10) {
  // Rows 0..2 are positions 5..7, the next one begins a chunk of 8.
  const AttentionShape shape = {.segments = {{5, 6}}, .chunk_size = 8};
  const Tensor v = shape.k(3);
  const Tensor out =
      attention(shape.q(1), shape.k(2), v, shape.batch(), shape.span(), shape.scale());
  EXPECT_EQ(test::to_double(out.rows(3, 4)), test::to_double(v.rows(3, 4)));
  EXPECT_NE(test::to_double(out.rows(2, 3)), test::to_double(v.rows(2, 3)));
  EXPECT_NE(test::to_double(out.rows(4, 5)), test::to_double(v.rows(4, 5)));
}

TEST(Attention, WithoutAChunkSizeEverythingBeforeIsSeen_FactsRow26) {
  AttentionShape shape = {.segments = {{0, 70}}, .heads = 2};
  const Tensor q = shape.q(1);
  const Tensor k = shape.k(2);
  const Tensor v = shape.k(3);
  const Tensor full = attention(q, k, v, shape.batch(), {}, shape.scale());
  shape.chunk_size = 70;
  EXPECT_TRUE(
      test::same_bits(full, attention(q, k, v, shape.batch(), shape.span(), shape.scale())));
  shape.chunk_size = 64;
  EXPECT_FALSE(
      test::same_bits(full, attention(q, k, v, shape.batch(), shape.span(), shape.scale())));
}

// Rows of one document, forward and backward.
struct Document {
  Tensor out, dq, dk, dv;
};

Document run(const AttentionShape& shape, const Tensor& q, const Tensor& k, const Tensor& v,
             const Tensor& dout) {
  const Tensor q_p = autograd::parameter(q);
  const Tensor k_p = autograd::parameter(k);
  const Tensor v_p = autograd::parameter(v);
  const Tensor out = attention(q_p, k_p, v_p, shape.batch(), shape.span(), shape.scale());
  autograd::backward(out, dout);
  return {out, autograd::gradient(q_p), autograd::gradient(k_p), autograd::gradient(v_p)};
}

TEST(Attention, PackedDocumentsGetTheBitsTheyGetAlone) {
  for (const int64_t chunk : {0, 16, 100}) {
    const AttentionShape packed = {
        .segments = {{0, 37}, {0, 150}, {0, 3}}, .heads = 5, .head_size = 32, .chunk_size = chunk};
    const AttentionShape alone = {
        .segments = {{0, 150}}, .heads = 5, .head_size = 32, .chunk_size = chunk};
    const Tensor q = packed.q(1);
    const Tensor k = packed.k(2);
    const Tensor v = packed.k(3);
    const Tensor dout = packed.q(4);
    const Document all = run(packed, q, k, v, dout);
    const Document one =
        run(alone, q.rows(37, 187), k.rows(37, 187), v.rows(37, 187), dout.rows(37, 187));
    EXPECT_TRUE(test::same_bits(all.out.rows(37, 187), one.out));
    EXPECT_TRUE(test::same_bits(all.dq.rows(37, 187), one.dq));
    EXPECT_TRUE(test::same_bits(all.dk.rows(37, 187), one.dk));
    EXPECT_TRUE(test::same_bits(all.dv.rows(37, 187), one.dv));
  }
}

TEST(Attention, ABrokenDocumentDoesNotTouchItsNeighbours) {
  const AttentionShape shape = {.segments = {{0, 20}, {0, 20}}, .heads = 2};
  Tensor k = shape.k(2);
  Tensor v = shape.k(3);
  const Tensor before =
      attention(shape.q(1), k, v, shape.batch(), shape.span(), shape.scale()).clone();
  for (int64_t i = 20 * 16; i < 40 * 16; ++i) {
    k.mutable_data<float>()[i] = std::numeric_limits<float>::quiet_NaN();
    v.mutable_data<float>()[i] = std::numeric_limits<float>::infinity();
  }
  const Tensor after = attention(shape.q(1), k, v, shape.batch(), shape.span(), shape.scale());
  EXPECT_TRUE(test::same_bits(before.rows(0, 20), after.rows(0, 20)));
  EXPECT_TRUE(std::isnan(after.values<float>()[39 * 32]));
}

TEST(Attention, AFirstTokenGetsItsOwnValueAndOnlyThatHasAGradient) {
  const AttentionShape shape = {.segments = {{0, 1}}, .heads = 2};
  const Tensor v = shape.k(3);
  const Tensor dout = shape.q(4);
  const Document one = run(shape, shape.q(1), shape.k(2), v, dout);
  for (size_t c = 0; c < 16; ++c) {
    EXPECT_EQ(one.out.values<float>()[c], v.values<float>()[c]);
    EXPECT_EQ(one.out.values<float>()[16 + c], v.values<float>()[c]);
    EXPECT_NEAR(one.dv.values<float>()[c], dout.values<float>()[c] + dout.values<float>()[16 + c],
                1e-6);
    EXPECT_NEAR(one.dq.values<float>()[c], 0, 1e-5);
    EXPECT_NEAR(one.dk.values<float>()[c], 0, 1e-5);
  }
}

TEST(Attention, LargeScoresDoNotOverflow) {
  const AttentionShape shape = {.segments = {{0, 80}}};
  Tensor q = shape.q(1);
  for (int64_t i = 0; i < q.numel(); ++i) q.mutable_data<float>()[i] *= 1000;
  const Tensor k = shape.k(2);
  const Tensor v = shape.k(3);
  const Tensor out = attention(q, k, v, shape.batch(), shape.span(), shape.scale());
  const test::AttentionResult wanted =
      test::attention_reference(shape, test::to_double(q), test::to_double(k), test::to_double(v));
  EXPECT_LE(test::relative_error(test::to_double(out), wanted.out), 1e-3);
}

TEST(Attention, MemoryIsLinearInLength) {
  const auto peak = [](int64_t T) {
    const AttentionShape shape = {.segments = {{0, T}}, .heads = 2};
    const DevicePtr device = test::test_device(simd::detect_isa(), 2);
    const Tensor q = autograd::parameter(shape.q(1, device));
    const Tensor k = autograd::parameter(shape.k(2, device));
    const Tensor v = autograd::parameter(shape.k(3, device));
    autograd::backward(attention(q, k, v, shape.batch(), shape.span(), shape.scale()),
                       shape.q(4, device));
    return device->memory().peak_bytes;
  };
  const int64_t rows_bytes = 8192 * 2 * 16 * 4;
  EXPECT_LT(peak(8192), 20 * rows_bytes);
}

TEST(AttentionErrors, NameTheShapesTheyGot) {
  const AttentionShape shape = {.segments = {{0, 4}}, .heads = 3, .kv_heads = 2};
  EXPECT_THAT(
      [&] { attention(shape.q(1), shape.k(2), shape.k(3), shape.batch(), {}, 1); },
      ::testing::ThrowsMessage<ShapeError>(::testing::HasSubstr("q is [4, 3, 16], k [4, 2")));
  const AttentionShape good = {.segments = {{0, 4}}};
  const AttentionShape shorter = {.segments = {{0, 3}}};
  EXPECT_THAT([&] { attention(good.q(1), good.k(2), good.k(3), shorter.batch(), {}, 1); },
              ::testing::ThrowsMessage<ShapeError>(::testing::HasSubstr("cover 3 rows, q has 4")));
  EXPECT_THAT([&] { attention(shorter.q(1), shorter.k(2), shorter.k(3), good.batch(), {}, 1); },
              ::testing::ThrowsMessage<ShapeError>(::testing::HasSubstr("attention: segment")));
  EXPECT_THROW(attention(good.q(1), good.k(2), good.k(3), good.batch(), {}, 0), UsageError);
  EXPECT_THAT(
      [&] {
        attention(good.q(1), good.k(2), good.k(3), good.batch(), {.chunk_size = 4, .causal = false},
                  1);
      },
      ::testing::ThrowsMessage<UsageError>(::testing::HasSubstr("neither chunks nor a cache")));
  EXPECT_THROW(
      attention(test::to_dtype(good.q(1), DType::kBF16), good.k(2), good.k(3), good.batch(), {}, 1),
      NotSupported);
}

}  // namespace
}  // namespace corral::ops
