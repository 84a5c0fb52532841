#include "ops/balance_loss/balance_loss.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "ops/route/route.h"
#include "support/op_case.h"

namespace corral::ops {
namespace {

using test::randn;

/// The loss from its definition, in double.
double loss_of(const std::vector<double>& l_TE, const std::vector<double>& f, double coefficient,
               int64_t tokens) {
  const size_t E = f.size();
  double sum = 0;
  for (size_t t = 0; t < l_TE.size() / E; ++t) {
    double scores = 0;
    for (size_t e = 0; e < E; ++e) scores += 1 / (1 + std::exp(-l_TE[t * E + e]));
    for (size_t e = 0; e < E; ++e) sum += f[e] / (1 + std::exp(-l_TE[t * E + e])) / scores;
  }
  return coefficient * static_cast<double>(E) * sum / static_cast<double>(tokens);
}

std::vector<double> gradient_by_differences(std::vector<double> l_TE, const std::vector<double>& f,
                                            double coefficient, int64_t tokens) {
  std::vector<double> gradient;
  for (double& l : l_TE) {
    const double at = l;
    l = at + 1e-5;
    const double above = loss_of(l_TE, f, coefficient, tokens);
    l = at - 1e-5;
    const double below = loss_of(l_TE, f, coefficient, tokens);
    l = at;
    gradient.push_back((above - below) / 2e-5);
  }
  return gradient;
}

std::vector<double> loads(const Routing& routing) {
  std::vector<double> f;
  for (int64_t e = 0; e < routing.experts; ++e) {
    f.push_back(static_cast<double>(routing.load(e)) / static_cast<double>(routing.rows()));
  }
  return f;
}

TEST(BalanceLoss, AddsTheGradientOfItsDefinition) {
  for (const int64_t E : {2, 5, 16, 33}) {
    const Tensor raw = randn({7, E}, 1);
    const std::vector<double> f = loads(route_top_k(raw, 1));
    const std::vector<double> wanted = gradient_by_differences(test::to_double(raw), f, 0.5, 20);
    for (const simd::Isa isa : test::machine_isas()) {
      for (const int threads : {1, 3}) {
        const DevicePtr device = test::test_device(isa, threads);
        const Tensor x = autograd::parameter(test::copy_to(raw, device));
        const Tensor dy = randn({7, E}, 2, device);
        const Tensor y = balance_loss(x, f, 0.5, 20);
        EXPECT_TRUE(test::same_bits(y, raw)) << "the value is the logits";
        autograd::backward(y, dy);
        std::vector<double> got = test::to_double(autograd::gradient(x));
        const std::vector<double> upstream = test::to_double(dy);
        for (size_t i = 0; i < got.size(); ++i) got[i] -= upstream[i];
        // Subtracting dy leaves its rounding errors: 2^-24 of it, beside gradients of about 1e-2.
        EXPECT_LT(test::relative_error(got, wanted), 1e-4) << E << " " << simd::isa_name(isa);
      }
    }
  }
}

TEST(BalanceLoss, ValueIsItsDefinitionAndTheCoefficientWhenBalanced) {
  const Tensor l = randn({50, 6}, 1);
  const std::vector<double> f = loads(route_top_k(l, 1));
  EXPECT_NEAR(balance_loss_value(l, f, 0.01, 50), loss_of(test::to_double(l), f, 0.01, 50), 1e-9);
  const std::vector<double> even(6, 1.0 / 6);
  EXPECT_NEAR(balance_loss_value(l, even, 0.01, 50), 0.01, 1e-9);
}

// Two halves with the global count give together what the whole gives: accumulation is exact.
TEST(BalanceLoss, OfMicroBatchesSumsToThatOfTheBatch) {
  const Tensor l = randn({40, 4}, 1);
  const std::vector<double> f = loads(route_top_k(l, 1));
  EXPECT_NEAR(
      balance_loss_value(l.rows(0, 15), f, 1, 40) + balance_loss_value(l.rows(15, 40), f, 1, 40),
      balance_loss_value(l, f, 1, 40), 1e-6);
}

// A router with a bias towards expert 0 that follows the gradient of the loss alone.
TEST(BalanceLoss, ReducesTheSkewOfARouter_FactsRow31) {
  constexpr int64_t kTokens = 400;
  constexpr int64_t kExperts = 8;
  Tensor l = randn({kTokens, kExperts}, 1);
  for (int64_t t = 0; t < kTokens; ++t) l.mutable_data<float>()[t * kExperts] += 2.0f;
  const auto most = [](const Tensor& logits) {
    const Routing routing = route_top_k(logits, 1);
    int64_t largest = 0;
    for (int64_t e = 0; e < kExperts; ++e) largest = std::max(largest, routing.load(e));
    return static_cast<double>(largest) * kExperts / kTokens;  // 1 + MaxVio
  };
  const double before = most(l);
  ASSERT_GT(before, 4.0);
  for (int step = 0; step < 60; ++step) {
    const Tensor x = autograd::parameter(l);
    const std::vector<double> f = loads(route_top_k(x, 1));
    autograd::backward(balance_loss(x, f, 1.0, kTokens),
                       Tensor::zeros({kTokens, kExperts}, DType::kF32, l.device()));
    const Tensor d = autograd::gradient(x);
    // A router's bias sees the mean over tokens: all tokens move alike.
    std::vector<double> mean(kExperts, 0.0);
    for (int64_t i = 0; i < d.numel(); ++i) {
      mean[static_cast<size_t>(i % kExperts)] += static_cast<double>(d.data<float>()[i]);
    }
    float* at = l.mutable_data<float>();
    for (int64_t i = 0; i < l.numel(); ++i) {
      at[i] -= static_cast<float>(mean[static_cast<size_t>(i % kExperts)]);
    }
  }
  EXPECT_LT(most(l), 1.8);
}

// With p = s / (sum s + tiny) a router that pushes all logits down would make the loss vanish.
TEST(BalanceLoss, CannotBeEscapedByPushingAllLogitsDown) {
  Tensor l = randn({30, 4}, 1);
  const std::vector<double> f = loads(route_top_k(l, 1));
  for (const float shift : {-20.0f, -100.0f, -1000.0f}) {
    Tensor low = l.clone();
    for (int64_t i = 0; i < low.numel(); ++i) low.mutable_data<float>()[i] += shift;
    EXPECT_GE(balance_loss_value(low, f, 1, 30), 0.99) << shift;
    const Tensor x = autograd::parameter(low);
    autograd::backward(balance_loss(x, f, 1, 30), Tensor::zeros({30, 4}, DType::kF32, l.device()));
    double gradient = 0;
    for (const double g : test::to_double(autograd::gradient(x))) {
      ASSERT_TRUE(std::isfinite(g));
      gradient += std::abs(g);
    }
    EXPECT_GT(gradient, 0.01) << shift;
  }
}

TEST(BalanceLoss, IsNotWrittenInInference) {
  const std::vector<double> f(4, 0.25);
  EXPECT_EQ(balance_loss(randn({3, 4}, 1), f, 1, 3).node(), nullptr);
}

TEST(BalanceLossErrors, NameWhatTheyNeed) {
  const std::vector<double> f(3, 1.0 / 3);
  try {
    balance_loss(randn({2, 4}, 1), f, 1, 2);
    FAIL();
  } catch (const ShapeError& error) {
    EXPECT_STREQ(error.what(), "balance_loss: logits are [2, 4], needs [T, 3]");
  }
  EXPECT_THROW(balance_loss(randn({2, 3}, 1), f, NAN, 2), Error);
  EXPECT_THROW(balance_loss(randn({2, 3}, 1), f, 1, 0), Error);
}

}  // namespace
}  // namespace corral::ops
