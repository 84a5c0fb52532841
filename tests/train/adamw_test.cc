#include "train/adamw.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "autograd/tape.h"
#include "base/error.h"
#include "base/random.h"
#include "ops/add/add.h"
#include "simd/isa.h"

namespace corral::train {
namespace {

std::vector<float> random_values(int64_t n, uint64_t key) {
  const Philox random(key);
  std::vector<float> values;
  for (int64_t i = 0; i < n; ++i) {
    values.push_back(static_cast<float>(random.normal(static_cast<uint64_t>(i))));
  }
  return values;
}

void set_gradient(const Tensor& leaf, const std::vector<float>& gradient) {
  autograd::clear_gradient(leaf);
  const Tensor y = ops::add(leaf, Tensor::zeros(leaf.shape(), DType::kF32, leaf.device()));
  autograd::backward(y, Tensor::from(gradient, leaf.shape(), leaf.device()));
}

/// The textbook formula in double precision.
struct Reference {
  std::vector<double> p, m, v;
  int64_t t = 0;

  explicit Reference(const std::vector<float>& start)
      : p(start.begin(), start.end()), m(start.size()), v(start.size()) {}

  void step(const AdamwOptions& o, double lr, bool decay, const std::vector<float>& g) {
    ++t;
    for (size_t i = 0; i < p.size(); ++i) {
      const double gi = g.empty() ? 0.0 : static_cast<double>(g[i]);
      if (decay) p[i] *= 1 - lr * o.weight_decay;
      m[i] = o.beta1 * m[i] + (1 - o.beta1) * gi;
      v[i] = o.beta2 * v[i] + (1 - o.beta2) * gi * gi;
      const double m_hat = m[i] / (1 - std::pow(o.beta1, t));
      const double v_hat = v[i] / (1 - std::pow(o.beta2, t));
      p[i] -= lr * m_hat / (std::sqrt(v_hat) + o.epsilon);
    }
  }
};

TEST(Adamw, FollowsTheFormulaOnEveryInstructionSet) {
  for (const simd::Isa isa : simd::machine_isas()) {
    const DevicePtr device = Device::cpu({.threads = 2, .isa = isa});
    // Odd sizes leave a tail behind the vectors; the first tensor is split over the threads.
    const std::vector<float> a = random_values(40'003, 1);
    const std::vector<float> b = random_values(5, 2);
    const Tensor pa = autograd::parameter(Tensor::from(a, {40'003}, device));
    const Tensor pb = autograd::parameter(Tensor::from(b, {5}, device));
    const AdamwOptions options{.weight_decay = 0.3};
    Adamw adamw({{"a", pa, true}, {"b", pb, false, 0.5}}, options);
    Reference ra(a);
    Reference rb(b);
    for (uint64_t t = 0; t < 5; ++t) {
      std::vector<float> ga = random_values(40'003, 10 + t);
      const std::vector<float> gb = random_values(5, 20 + t);
      set_gradient(pa, ga);
      set_gradient(pb, gb);
      adamw.step(0.01, 0.5);
      std::vector<float> half_a = ga;
      std::vector<float> half_b = gb;
      for (float& g : half_a) g *= 0.5f;
      for (float& g : half_b) g *= 0.5f;
      ra.step(options, 0.01, true, half_a);
      rb.step(options, 0.005, false, half_b);
    }
    EXPECT_EQ(adamw.steps(), 5);
    for (size_t i = 0; i < a.size(); ++i) {
      ASSERT_NEAR(pa.values<float>()[i], ra.p[i], 2e-6) << simd::isa_name(isa) << " " << i;
    }
    for (size_t i = 0; i < b.size(); ++i) EXPECT_NEAR(pb.values<float>()[i], rb.p[i], 2e-6);
  }
}

TEST(Adamw, TakesAMissingGradientAsZero) {
  const DevicePtr device = Device::cpu({.threads = 1});
  const Tensor p = autograd::parameter(Tensor::from(std::vector<float>{1, -2}, {2, 1}, device));
  Adamw adamw({{"p", p, true}}, {.weight_decay = 0.1});
  adamw.step(0.5);
  EXPECT_FLOAT_EQ(p.values<float>()[0], 0.95f);
  EXPECT_FLOAT_EQ(p.values<float>()[1], -1.9f);
}

TEST(Adamw, MovesByTheLearningRateHoweverSmallTheGradient) {
  const DevicePtr device = Device::cpu({.threads = 1});
  const Tensor p = autograd::parameter(Tensor::from(std::vector<float>{0, 0}, {2}, device));
  Adamw adamw({{"p", p, false}}, {});
  set_gradient(p, {1e-10f, -1e6f});
  adamw.step(0.125);
  EXPECT_NEAR(p.values<float>()[0], -0.125, 1e-5);
  EXPECT_NEAR(p.values<float>()[1], 0.125, 1e-5);
}

TEST(Adamw, GivesTheSameBitsForAnyNumberOfThreads) {
  std::vector<std::vector<float>> results;
  for (const int threads : {1, 2, 4}) {
    const DevicePtr device = Device::cpu({.threads = threads});
    const Tensor p =
        autograd::parameter(Tensor::from(random_values(100'001, 1), {100'001}, device));
    Adamw adamw({{"p", p, true}}, {});
    for (uint64_t t = 0; t < 3; ++t) {
      set_gradient(p, random_values(100'001, 10 + t));
      adamw.step(0.01);
    }
    results.emplace_back(p.values<float>().begin(), p.values<float>().end());
  }
  EXPECT_EQ(results[0], results[1]);
  EXPECT_EQ(results[0], results[2]);
}

TEST(Adamw, ContinuesFromRestoredMomentsWithTheSameBits) {
  const DevicePtr device = Device::cpu({.threads = 2});
  const auto start = random_values(1001, 1);
  const Tensor whole = autograd::parameter(Tensor::from(start, {1001}, device));
  Adamw straight({{"p", whole, true}}, {});
  Tensor halfway;
  std::vector<Tensor> m;
  std::vector<Tensor> v;
  for (uint64_t t = 0; t < 6; ++t) {
    if (t == 3) {
      halfway = whole.clone();
      m = {straight.first_moments()[0].clone()};
      v = {straight.second_moments()[0].clone()};
    }
    set_gradient(whole, random_values(1001, 10 + t));
    straight.step(0.01);
  }
  const Tensor again = autograd::parameter(halfway);
  Adamw resumed({{"p", again, true}}, {});
  resumed.restore(3, m, v);
  for (uint64_t t = 3; t < 6; ++t) {
    set_gradient(again, random_values(1001, 10 + t));
    resumed.step(0.01);
  }
  EXPECT_TRUE(std::ranges::equal(whole.values<float>(), again.values<float>()));
  EXPECT_THROW(resumed.restore(3, {}, v), ShapeError);
  EXPECT_THROW(resumed.restore(3, {Tensor::zeros({7}, DType::kF32, device)}, v), ShapeError);
}

TEST(Adamw, RefusesConstantsOutOfRangeAndTensorsItCannotUpdate) {
  const DevicePtr device = Device::cpu({.threads = 1});
  const Tensor p = autograd::parameter(Tensor::zeros({2}, DType::kF32, device));
  EXPECT_THROW(Adamw({{"p", p}}, {.beta1 = 1.0}), UsageError);
  EXPECT_THROW(Adamw({{"p", p}}, {.epsilon = 0}), UsageError);
  EXPECT_THROW(Adamw({{"p", p}}, {.weight_decay = -1}), UsageError);
  EXPECT_THROW(Adamw({{"p", Tensor::zeros({2}, DType::kBF16, device)}}, {}), NotSupported);
}

}  // namespace
}  // namespace corral::train
