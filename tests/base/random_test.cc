#include "base/random.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <vector>

namespace corral {
namespace {

using ::testing::ElementsAre;

// Known answers that the authors publish with their code (Random123, philox4x32 with 10 rounds).
TEST(Philox, GivesThePublishedValues) {
  EXPECT_THAT(Philox(0).block(0, 0), ElementsAre(0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8));
  EXPECT_THAT(Philox(~uint64_t{0}).block(~uint64_t{0}, ~uint64_t{0}),
              ElementsAre(0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd));
  // Counter and key are the digits of pi.
  EXPECT_THAT(Philox(0x299f31d0a4093822).block(0x85a308d3243f6a88, 0x0370734413198a2e),
              ElementsAre(0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1));
}

TEST(Philox, BitsAreTheFirstTwoWordsOfTheBlock) {
  EXPECT_EQ(Philox(0).bits(0), 0xe169c58d6627e8d5u);
}

TEST(Philox, KeysIndicesAndStreamsGiveDifferentBits) {
  std::set<uint64_t> seen;
  for (uint64_t key = 0; key < 10; ++key) {
    for (uint64_t index = 0; index < 10; ++index) {
      for (uint64_t stream = 0; stream < 10; ++stream) {
        seen.insert(Philox(key).bits(index, stream));
      }
    }
  }
  EXPECT_EQ(seen.size(), 1000u);
}

TEST(Philox, UniformFillsTheUnitIntervalEvenly) {
  constexpr int kDraws = 100000;
  constexpr int kBins = 20;
  const Philox philox(1);
  std::vector<int> bins(kBins);
  for (uint64_t i = 0; i < kDraws; ++i) {
    const double u = philox.uniform(i);
    ASSERT_GE(u, 0.0);
    ASSERT_LT(u, 1.0);
    ++bins[static_cast<size_t>(u * kBins)];
  }
  double chi_square = 0;
  for (const int count : bins) chi_square += std::pow(count - kDraws / kBins, 2) * kBins / kDraws;
  EXPECT_LT(chi_square, 43.8);  // 19 degrees of freedom, exceeded once in a thousand seeds
}

TEST(Philox, NormalHasTheMomentsOfTheStandardNormal) {
  constexpr int kDraws = 200000;
  const Philox philox(2);
  double sum[5] = {};
  for (uint64_t i = 0; i < kDraws; ++i) {
    const double x = philox.normal(i);
    ASSERT_TRUE(std::isfinite(x));
    for (int power = 1; power <= 4; ++power) sum[power] += std::pow(x, power);
  }
  // Each bound is four standard errors: the variances of x, x^2, x^3, x^4 are 1, 2, 15 and 96.
  const double error = 4 / std::sqrt(kDraws);
  EXPECT_NEAR(sum[1] / kDraws, 0, error);
  EXPECT_NEAR(sum[2] / kDraws, 1, error * std::sqrt(2));
  EXPECT_NEAR(sum[3] / kDraws, 0, error * std::sqrt(15));
  EXPECT_NEAR(sum[4] / kDraws, 3, error * std::sqrt(96));
}

TEST(Philox, BelowStaysBelowAndReachesEverything) {
  const Philox philox(3);
  for (const uint64_t n : {1, 2, 3, 10}) {
    std::set<uint64_t> seen;
    for (uint64_t i = 0; i < 200; ++i) seen.insert(philox.below(n, i));
    EXPECT_EQ(seen.size(), n);
    EXPECT_LT(*seen.rbegin(), n);
  }
  uint64_t largest = 0;
  const uint64_t huge = ~uint64_t{0};
  for (uint64_t i = 0; i < 200; ++i) largest = std::max(largest, philox.below(huge, i));
  EXPECT_GT(largest, huge / 4 * 3);
  EXPECT_LT(largest, huge);
}

TEST(HashName, IsFnv1a) {
  EXPECT_EQ(hash_name(""), 0xcbf29ce484222325u);
  EXPECT_EQ(hash_name("a"), 0xaf63dc4c8601ec8cu);
  EXPECT_EQ(hash_name("foobar"), 0x85944171f73967e8u);
}

TEST(Permutation, IsABijectionForEverySize) {
  std::vector<uint64_t> sizes = {100, 255, 256, 257, 1000, 4095, 4096, 4097, 65536, 65537};
  for (uint64_t n = 1; n <= 70; ++n) sizes.push_back(n);
  for (const uint64_t n : sizes) {
    for (const uint64_t key : {0u, 1u, 12345u}) {
      const Permutation permutation(n, key);
      std::vector<bool> hit(n);
      for (uint64_t i = 0; i < n; ++i) {
        const uint64_t image = permutation(i);
        ASSERT_LT(image, n);
        ASSERT_FALSE(hit[image]) << "n " << n << " key " << key << " reaches " << image << " twice";
        hit[image] = true;
      }
    }
  }
}

TEST(Permutation, WorksForSizesNoMemoryHolds) {
  for (const uint64_t n : {uint64_t{1} << 40, (uint64_t{1} << 63) + 1, ~uint64_t{0}}) {
    const Permutation permutation(n, 7);
    std::set<uint64_t> images;
    for (uint64_t i = 0; i < 1000; ++i) images.insert(permutation(i));
    for (uint64_t i = 0; i < 1000; ++i) images.insert(permutation(n - 1 - i));
    EXPECT_EQ(images.size(), 2000u);
    EXPECT_LT(*images.rbegin(), n);
  }
}

TEST(Permutation, TheSameKeyGivesTheSameOrderAndAnotherKeyAnother) {
  const Permutation a(1000, 1), b(1000, 1), c(1000, 2);
  int same = 0;
  for (uint64_t i = 0; i < 1000; ++i) {
    EXPECT_EQ(a(i), b(i));
    same += a(i) == c(i);
  }
  EXPECT_LT(same, 10);  // one is expected of random orders
}

TEST(Permutation, OverManyKeysEveryPairOfElementsLandsEverywhereEquallyOften) {
  constexpr int kKeys = 20000;
  for (const uint64_t n : {2, 3, 5, 10}) {  // the sizes at which a Feistel network is weakest
    std::vector<int> landed(n * n);
    for (uint64_t key = 0; key < kKeys; ++key) {
      const Permutation permutation(n, key);
      ++landed[permutation(0) * n + permutation(n - 1)];
    }
    const auto places = static_cast<double>(n * (n - 1));
    double chi_square = 0;
    for (uint64_t a = 0; a < n; ++a) {
      for (uint64_t b = 0; b < n; ++b) {
        if (a == b) continue;
        chi_square += std::pow(landed[a * n + b] - kKeys / places, 2) * places / kKeys;
      }
    }
    const double freedom = places - 1;
    EXPECT_LT(chi_square, freedom + 5 * std::sqrt(2 * freedom) + 5) << "n " << n;
  }
}

}  // namespace
}  // namespace corral
