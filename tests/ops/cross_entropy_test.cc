#include "ops/cross_entropy/cross_entropy.h"

#include <gtest/gtest.h>

#include <cmath>

#include "quant/q8_0.h"
#include "support/op_case.h"

namespace corral::ops {
namespace {

using quant::LinearWeight;
using quant::Precision;
using test::randn;

constexpr int32_t kSkip = kIgnoredTarget;

std::vector<int32_t> some_targets(int64_t T, int64_t V, bool some_ignored) {
  std::vector<int32_t> targets;
  const Philox random(7);
  for (int64_t t = 0; t < T; ++t) {
    const auto at = static_cast<uint64_t>(t);
    const bool ignore = some_ignored && random.uniform(at, 1) < 0.3;
    targets.push_back(ignore ? kSkip
                             : static_cast<int32_t>(random.below(static_cast<uint64_t>(V), at)));
  }
  return targets;
}

struct Reference {
  double loss = 0;
  std::vector<double> nll;
};

/// in[0] = hidden [T, D], in[1] = readout [V, D].
Reference reference(const test::Values& in, const std::vector<int32_t>& targets, size_t D,
                    double denominator, double z_loss) {
  Reference result;
  const size_t V = in[1].size() / D;
  for (size_t t = 0; t < targets.size(); ++t) {
    result.nll.push_back(0);
    if (targets[t] == kSkip) continue;
    std::vector<double> logits(V);
    double sum = 0;
    for (size_t v = 0; v < V; ++v) {
      for (size_t d = 0; d < D; ++d) logits[v] += in[0][t * D + d] * in[1][v * D + d];
      sum += std::exp(logits[v]);
    }
    const double z = std::log(sum);
    result.nll.back() = z - logits[static_cast<size_t>(targets[t])];
    result.loss += (result.nll.back() + z_loss * z * z) / denominator;
  }
  return result;
}

struct Case {
  int64_t T;
  int64_t D;
  int64_t V;
  float z_loss;
};

void PrintTo(const Case& c, std::ostream* out) {
  *out << str("T = ", c.T, ", D = ", c.D, ", V = ", c.V, ", z = ", c.z_loss);
}

class CrossEntropyLoss : public ::testing::TestWithParam<Case> {};

TEST_P(CrossEntropyLoss, MatchesReferenceAndFiniteDifferences) {
  const Case p = GetParam();
  const std::vector<int32_t> targets = some_targets(p.T, p.V, p.T > 1);
  const auto D = static_cast<size_t>(p.D);
  const test::OpCase c{
      .name = "cross_entropy",
      .inputs = {randn({p.T, p.D}, 1), randn({p.V, p.D}, 2)},
      .op =
          [=](auto& in) {
            return cross_entropy(in[0], LinearWeight::out_in(in[1]), targets, 5.0, Precision::kF32,
                                 p.z_loss)
                .loss;
          },
      .reference =
          [=](auto& in) {
            return std::vector<double>{
                reference(in, targets, D, 5.0, static_cast<double>(p.z_loss)).loss};
          },
      .terms = p.D + p.V};
  check_forward(c);
  check_grad(c);
}
INSTANTIATE_TEST_SUITE_P(Shapes, CrossEntropyLoss,
                         ::testing::Values(Case{1, 1, 2, 0}, Case{1, 3, 5, 0}, Case{6, 8, 17, 0},
                                           Case{5, 4, 33, 0.01f}, Case{9, 5, 70, 0.001f}));

TEST(CrossEntropyLoss, InBf16StaysWithinItsRounding) {
  constexpr int64_t kT = 40;
  constexpr int64_t kD = 64;
  const std::vector<int32_t> targets = some_targets(kT, 50, false);
  const test::OpCase c{
      .name = "cross_entropy in bf16",
      .inputs = {randn({kT, kD}, 1), randn({50, kD}, 2)},
      .op =
          [=](auto& in) {
            return cross_entropy(in[0], LinearWeight::out_in(in[1]), targets, kT, Precision::kBF16)
                .loss;
          },
      .reference =
          [=](auto& in) { return std::vector<double>{reference(in, targets, kD, kT, 0).loss}; },
      .terms = kD,
      .dtype = DType::kBF16};
  check_forward(c);
}

// More rows than a slice and not a multiple of it: slices must not show.
TEST(CrossEntropyLoss, OfManySlicesIsTheSumOfItsRowsWithTheSameBits) {
  constexpr int64_t kT = 600;
  constexpr int64_t kD = 24;
  constexpr int64_t kV = 90;
  const std::vector<int32_t> targets = some_targets(kT, kV, true);
  for (const simd::Isa isa : test::machine_isas()) {
    for (const Precision precision : {Precision::kF32, Precision::kBF16}) {
      std::vector<Tensor> first;
      for (const int threads : {1, 2, 3}) {
        const DevicePtr device = test::test_device(isa, threads);
        const Tensor hidden = autograd::parameter(randn({kT, kD}, 1, device));
        const Tensor readout = autograd::parameter(randn({kV, kD}, 2, device));
        const LinearWeight w = LinearWeight::out_in(readout);
        const CrossEntropy ce = cross_entropy(hidden, w, targets, kT, precision);
        for (int64_t t = 0; t < kT; t += 37) {
          const auto one = std::span(targets).subspan(static_cast<size_t>(t), 1);
          EXPECT_EQ(token_nll(hidden.rows(t, t + 1), w, one, precision)[0],
                    ce.nll_T[static_cast<size_t>(t)])
              << "row " << t;
        }
        autograd::backward(ce.loss);
        const std::vector<Tensor> got = {ce.loss.detach(), autograd::gradient(hidden),
                                         autograd::gradient(readout)};
        if (first.empty()) first = got;
        for (size_t i = 0; i < got.size(); ++i) {
          EXPECT_TRUE(test::same_bits(first[i], got[i])) << i << " with " << threads << " threads";
        }
      }
    }
  }
}

TEST(CrossEntropyLoss, GradientsOfManySlicesMatchOneRowAtATime) {
  constexpr int64_t kT = 300;
  const DevicePtr device = test::test_device();
  const std::vector<int32_t> targets = some_targets(kT, 40, true);
  const Tensor hidden = autograd::parameter(randn({kT, 16}, 1, device));
  const Tensor readout = autograd::parameter(randn({40, 16}, 2, device));
  autograd::backward(
      cross_entropy(hidden, LinearWeight::out_in(readout), targets, kT, Precision::kF32, 0.01f)
          .loss);
  const Tensor again = autograd::parameter(readout.detach());
  for (int64_t t = 0; t < kT; ++t) {
    const Tensor row = autograd::parameter(hidden.rows(t, t + 1));
    const auto one = std::span(targets).subspan(static_cast<size_t>(t), 1);
    autograd::backward(
        cross_entropy(row, LinearWeight::out_in(again), one, kT, Precision::kF32, 0.01f).loss);
    EXPECT_TRUE(test::same_bits(autograd::gradient(row), autograd::gradient(hidden).rows(t, t + 1)))
        << t;
  }
  EXPECT_LT(test::relative_error(test::to_double(autograd::gradient(readout)),
                                 test::to_double(autograd::gradient(again))),
            test::tolerance(DType::kF32, kT));
}

TEST(CrossEntropyLoss, IgnoredRowsCostNothingAndGetNoGradient) {
  const DevicePtr device = test::test_device();
  Tensor values = randn({4, 8}, 1, device);
  values.mutable_data<float>()[8 + 3] = NAN;  // would poison everything if it were read
  const Tensor hidden = autograd::parameter(values);
  const Tensor readout = autograd::parameter(randn({6, 8}, 2, device));
  const std::vector<int32_t> targets = {2, kSkip, 0, kSkip};
  const CrossEntropy ce =
      cross_entropy(hidden, LinearWeight::out_in(readout), targets, 2, Precision::kF32);
  EXPECT_EQ(ce.supervised, 2);
  EXPECT_EQ(ce.nll_T[1], 0.0f);
  EXPECT_EQ(ce.nll_T[3], 0.0f);
  EXPECT_GT(ce.nll_T[0], 0.0f);
  EXPECT_NEAR(static_cast<double>(ce.loss.values<float>()[0]), ce.nll_sum / 2, 1e-6);
  autograd::backward(ce.loss);
  const Tensor d = autograd::gradient(hidden);
  for (size_t i = 0; i < 32; ++i) {
    const bool supervised = i / 8 % 2 == 0;
    EXPECT_EQ(d.values<float>()[i] != 0.0f, supervised) << i;
  }
}

TEST(CrossEntropyLoss, WithoutAnyTargetIsZero) {
  const Tensor hidden = autograd::parameter(randn({3, 8}, 1));
  const Tensor readout = autograd::parameter(randn({6, 8}, 2, hidden.device()));
  const std::vector<int32_t> targets(3, kSkip);
  const CrossEntropy ce =
      cross_entropy(hidden, LinearWeight::out_in(readout), targets, 1, Precision::kF32);
  EXPECT_EQ(ce.loss.values<float>()[0], 0.0f);
  EXPECT_EQ(ce.supervised, 0);
  autograd::backward(ce.loss);
  for (const float g : autograd::gradient(readout).values<float>()) EXPECT_EQ(g, 0.0f);
}

TEST(CrossEntropyLoss, ScalesItsGradientsByTheUpstreamOne) {
  const Tensor values = randn({3, 8}, 1);
  const Tensor readout = randn({6, 8}, 2, values.device());
  const std::vector<int32_t> targets = {1, 5, 0};
  std::vector<std::vector<double>> gradients;
  for (const float upstream : {1.0f, 4.0f}) {
    const Tensor hidden = autograd::parameter(values);
    const CrossEntropy ce =
        cross_entropy(hidden, LinearWeight::out_in(readout), targets, 3, Precision::kF32);
    autograd::backward(ce.loss, Tensor::from(std::vector<float>{upstream}, {1}, values.device()));
    gradients.push_back(test::to_double(autograd::gradient(hidden)));
  }
  for (size_t i = 0; i < gradients[0].size(); ++i) EXPECT_EQ(4 * gradients[0][i], gradients[1][i]);
}

TEST(CrossEntropyLoss, ReportsItsZLossApart) {
  const Tensor hidden = randn({3, 8}, 1);
  const Tensor readout = randn({6, 8}, 2, hidden.device());
  const LinearWeight w = LinearWeight::out_in(readout);
  const std::vector<int32_t> targets = {1, 5, 0};
  const CrossEntropy with = cross_entropy(hidden, w, targets, 3, Precision::kF32, 0.1f);
  const CrossEntropy without = cross_entropy(hidden, w, targets, 3, Precision::kF32);
  EXPECT_EQ(with.nll_sum, without.nll_sum);
  EXPECT_EQ(without.z_loss, 0);
  EXPECT_NEAR(static_cast<double>(with.loss.values<float>()[0]),
              static_cast<double>(without.loss.values<float>()[0]) + with.z_loss, 1e-6);
  EXPECT_GT(with.z_loss, 0);
}

TEST(CrossEntropyLoss, OfHugeLogitsIsExact) {
  const DevicePtr device = test::test_device();
  const Tensor hidden = Tensor::from(std::vector<float>{1, -1}, {2, 1}, device);
  const Tensor readout = Tensor::from(std::vector<float>{10000, 9990, 0}, {3, 1}, device);
  const std::vector<int32_t> targets = {1, 2};
  const std::vector<float> nll =
      token_nll(hidden, LinearWeight::out_in(readout), targets, Precision::kF32);
  EXPECT_FLOAT_EQ(nll[0], 10.0000454f);
  EXPECT_EQ(nll[1], 0.0f);
}

TEST(CrossEntropyLoss, ReadsQuantizedReadoutsButGivesNoGradientThroughThem) {
  const DevicePtr device = test::test_device();
  const Tensor dense = randn({10, 32}, 1, device);
  Tensor blocks({10, 32}, DType::kQ8_0, device);
  quant::quantize_row_q8_0(dense.data<float>(), blocks.mutable_data<std::byte>(), 320);
  Tensor exact({10, 32}, DType::kF32, device);
  quant::dequantize_row_q8_0(blocks.data<std::byte>(), exact.mutable_data<float>(), 320);
  const Tensor hidden = randn({4, 32}, 2, device);
  const std::vector<int32_t> targets = {0, 9, 4, 4};
  const std::vector<float> nll =
      token_nll(hidden, LinearWeight::out_in(blocks), targets, Precision::kF32);
  const std::vector<float> wanted =
      token_nll(hidden, LinearWeight::out_in(exact), targets, Precision::kF32);
  // The format may quantize the activations too: 1 / 127 of their size.
  for (size_t t = 0; t < nll.size(); ++t) EXPECT_NEAR(nll[t], wanted[t], 0.2f);
  EXPECT_THROW(cross_entropy(autograd::parameter(hidden), LinearWeight::out_in(blocks), targets, 4,
                             Precision::kF32),
               NotSupported);
}

TEST(CrossEntropyLoss, KeepsNoMoreThanASliceOfLogits) {
  constexpr int64_t kT = 2048;
  constexpr int64_t kV = 4096;
  const DevicePtr device = test::test_device();
  const Tensor hidden = autograd::parameter(randn({kT, 16}, 1, device));
  const Tensor readout = autograd::parameter(randn({kV, 16}, 2, device));
  const std::vector<int32_t> targets = some_targets(kT, kV, false);
  const int64_t before = device->memory().in_use_bytes;
  cross_entropy(hidden, LinearWeight::out_in(readout), targets, kT, Precision::kF32);
  EXPECT_LT(device->memory().peak_bytes - before, 6 << 20);  // all logits would be 32 MiB
}

TEST(CrossEntropyErrors, NameTheRowAndTheVocabulary) {
  const Tensor hidden = randn({2, 8}, 1);
  const LinearWeight w = LinearWeight::out_in(randn({6, 8}, 2, hidden.device()));
  const auto loss = [&](std::vector<int32_t> targets, double denominator, float z) {
    return cross_entropy(hidden, w, targets, denominator, Precision::kF32, z);
  };
  try {
    loss({1, 6}, 1, 0);
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "cross_entropy: row 1 has target 6, needs -100 or an id below 6");
  }
  EXPECT_THROW(loss({1, -1}, 1, 0), Error);
  EXPECT_THROW(loss({1}, 1, 0), ShapeError);
  EXPECT_THROW(loss({1, 2}, 0, 0), Error);
  EXPECT_THROW(loss({1, 2}, NAN, 0), Error);
  EXPECT_THROW(loss({1, 2}, 1, -1), Error);
  const std::vector<int32_t> targets = {0, 1};
  EXPECT_THROW(token_nll(randn({2, 7}, 1), w, targets, Precision::kF32), ShapeError);
}

}  // namespace
}  // namespace corral::ops
