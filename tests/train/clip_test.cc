#include "train/clip.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/random.h"

namespace corral::train {
namespace {

Tensor random_tensor(const Shape& shape, uint64_t key, const DevicePtr& device, double scale = 1) {
  Tensor x(shape, DType::kF32, device);
  const Philox random(key);
  for (int64_t i = 0; i < x.numel(); ++i) {
    x.mutable_data<float>()[i] =
        static_cast<float>(scale * random.normal(static_cast<uint64_t>(i)));
  }
  return x;
}

TEST(GradientNorm, IsTheLengthOfAllTensorsTogether) {
  const DevicePtr device = Device::cpu({.threads = 2});
  const std::vector<float> a = {3, 0, 0};
  const std::vector<float> b = {0, 4};
  const GradientNorm result =
      gradient_norm({Tensor::from(a, {3}, device), Tensor(), Tensor::from(b, {1, 2}, device)});
  EXPECT_DOUBLE_EQ(result.norm, 5.0);
  EXPECT_FALSE(result.not_finite);
  EXPECT_EQ(gradient_norm({}).norm, 0.0);
}

TEST(GradientNorm, HasTheSameBitsForAnyNumberOfThreads) {
  std::vector<double> norms;
  for (const int threads : {1, 2, 3, 5}) {
    const DevicePtr device = Device::cpu({.threads = threads});
    norms.push_back(
        gradient_norm({random_tensor({100'003}, 1, device), random_tensor({7, 9}, 2, device, 1e-12),
                       random_tensor({40'000}, 3, device, 1e6)})
            .norm);
  }
  for (const double norm : norms) EXPECT_EQ(norm, norms[0]);
}

TEST(GradientNorm, SurvivesSquaresThatDoNotFitAFloat) {
  const DevicePtr device = Device::cpu({.threads = 1});
  const std::vector<float> big = {3e38f, 3e38f};
  const GradientNorm result = gradient_norm({Tensor::from(big, {2}, device)});
  EXPECT_FALSE(result.not_finite);
  EXPECT_NEAR(result.norm, std::sqrt(2.0) * 3e38, 1e32);
}

TEST(GradientNorm, NamesTheFirstTensorThatIsNotFinite) {
  const DevicePtr device = Device::cpu({.threads = 2});
  Tensor bad = random_tensor({50'000}, 1, device);
  for (const float value :
       {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity()}) {
    bad.mutable_data<float>()[49'999] = value;
    const GradientNorm result = gradient_norm({random_tensor({10}, 2, device), bad, bad});
    ASSERT_TRUE(result.not_finite);
    EXPECT_EQ(*result.not_finite, 1u);
  }
}

TEST(ClipScale, OnlyShortens) {
  EXPECT_EQ(clip_scale(0.5, 1.0), 1.0);
  EXPECT_EQ(clip_scale(4.0, 1.0), 0.25);
  EXPECT_EQ(clip_scale(4.0, 0.0), 1.0);
}

}  // namespace
}  // namespace corral::train
