#include "ops/rope/rope.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <utility>

#include "autograd/tape.h"
#include "support/op_case.h"
#include "support/paths.h"

namespace corral::ops {
namespace {

constexpr RopeScaling kScout = {16, 1, 1, 8192};
constexpr RopeScaling kLlama31 = {8, 1, 4, 8192};

/// y in double for angles position * frequency.
std::vector<double> reference(const std::vector<double>& x, const std::vector<int64_t>& positions,
                              const std::vector<float>& frequencies) {
  std::vector<double> y(x.size());
  const size_t C = 2 * frequencies.size();
  const size_t row = x.size() / positions.size();
  for (size_t i = 0; i < x.size(); i += 2) {
    const double angle =
        static_cast<double>(positions[i / row]) * static_cast<double>(frequencies[i % C / 2]);
    y[i] = x[i] * std::cos(angle) - x[i + 1] * std::sin(angle);
    y[i + 1] = x[i] * std::sin(angle) + x[i + 1] * std::cos(angle);
  }
  return y;
}

class Rope : public ::testing::TestWithParam<Shape> {};

TEST_P(Rope, MatchesTheFormulaAndFiniteDifferences) {
  const Shape shape = GetParam();
  const RopeFrequencies f = rope_frequencies(shape[2], 10000);
  std::vector<int64_t> positions;
  for (int64_t t = 0; t < shape[0]; ++t) positions.push_back((37 * t) % 100);
  for (const int64_t period : {0, 16}) {
    std::vector<int64_t> reduced = positions;
    for (int64_t& p : reduced) p = period > 0 ? p % period : p;
    // Angles of up to 100 radians in f32 are right to 4e-6.
    const test::OpCase c = {
        .name = "rope",
        .inputs = {test::randn(shape, 1)},
        .op = [=](const std::vector<Tensor>& in) { return rope(in[0], positions, f, period); },
        .reference =
            [=](const test::Values& in) { return reference(in[0], reduced, f.per_pair()); },
        .terms = period > 0 ? 2 : 1000};
    check_forward(c);
    check_grad(c);
  }
}
INSTANTIATE_TEST_SUITE_P(Shapes, Rope,
                         ::testing::Values(Shape{1, 1, 2}, Shape{5, 3, 16}, Shape{3, 2, 32},
                                           Shape{2, 1, 128}, Shape{4, 2, 22}, Shape{7, 5, 6}));

// The first half of a head's pairs turns with the column (x), the second with the row (y); a class
// token stands still.
class Rope2d : public ::testing::TestWithParam<Shape> {};

TEST_P(Rope2d, MatchesTheFormulaAndFiniteDifferences_FactsRow21) {
  const Shape shape = GetParam();
  constexpr int64_t kHeight = 3;
  constexpr int64_t kWidth = 5;
  const int64_t C = shape[2];
  std::vector<int64_t> rows;
  for (int64_t t = 0; t < shape[0]; ++t) rows.push_back((7 * t + 1) % (kHeight * kWidth + 1));
  const auto turned = [=](const test::Values& in) {
    std::vector<double> y = in[0];
    const int64_t row = shape[1] * C;
    for (int64_t i = 0; i < static_cast<int64_t>(y.size()); i += 2) {
      const int64_t patch = rows[static_cast<size_t>(i / row)];
      const int64_t pair = i % C / 2;
      const int64_t place = pair < C / 4 ? patch % kWidth + 1 : patch / kWidth + 1;
      const double frequency = std::pow(
          10000.0, -2.0 * static_cast<double>(pair % (C / 4)) / (static_cast<double>(C) / 2));
      const bool is_class = patch == kHeight * kWidth;
      const double angle = is_class ? 0 : static_cast<double>(place) * frequency;
      const auto at = static_cast<size_t>(i);
      y[at] = in[0][at] * std::cos(angle) - in[0][at + 1] * std::sin(angle);
      y[at + 1] = in[0][at] * std::sin(angle) + in[0][at + 1] * std::cos(angle);
    }
    return y;
  };
  const test::OpCase c = {.name = "rope 2d",
                          .inputs = {test::randn(shape, 1)},
                          .op =
                              [=](const std::vector<Tensor>& in) {
                                return rope(in[0], rows, rope_table_2d(C, 10000, kHeight, kWidth));
                              },
                          .reference = turned,
                          .terms = 4};
  check_forward(c);
  check_grad(c);
}
INSTANTIATE_TEST_SUITE_P(Shapes, Rope2d,
                         ::testing::Values(Shape{16, 2, 16}, Shape{3, 1, 4}, Shape{5, 2, 88}));

TEST(Rope, TurnsNeighbouringPairs_FactsRow6) {
  // One radian a position for the first pair, none for the second.
  const RopeFrequencies f({1.0f, 0.0f});
  const float values[] = {1, 0, 5, 7};
  const Tensor x = Tensor::from(values, {1, 1, 4}, test::test_device());
  const std::vector<int64_t> positions = {1};
  const Tensor y = rope(x, positions, f, 0);
  EXPECT_NEAR(y.values<float>()[0], std::cos(1.0), 1e-7);
  EXPECT_NEAR(y.values<float>()[1], std::sin(1.0), 1e-7);
  EXPECT_EQ(y.values<float>()[2], 5);
  EXPECT_EQ(y.values<float>()[3], 7);
}

std::map<std::string, std::vector<double>> golden() {
  std::map<std::string, std::vector<double>> arrays;
  std::ifstream in(test::data_dir() / "rope/real_size.txt");
  for (std::string line; std::getline(in, line);) {
    std::istringstream words(line);
    std::string name;
    words >> name;
    for (double x = 0; words >> x;) arrays[name].push_back(x);
  }
  return arrays;
}

TEST(Rope, MatchesTheReferenceAtRealSize_FactsRow5) {
  const auto arrays = golden();
  ASSERT_EQ(arrays.size(), 10u);
  const std::vector<double>& positions = arrays.at("positions");
  ASSERT_EQ(positions.back(), 10000000);
  const std::map<std::string, RopeFrequencies> models = {
      {"plain", rope_frequencies(128, 500000)},
      {"scout", rope_frequencies(128, 500000, kScout)},
      {"llama3like", rope_frequencies(128, 500000, kLlama31)}};
  for (const auto& [name, f] : models) {
    SCOPED_TRACE(name);
    const std::vector<double>& frequencies = arrays.at(name + ".freqs");
    ASSERT_EQ(frequencies.size(), f.per_pair().size());
    for (size_t j = 0; j < frequencies.size(); ++j) {
      EXPECT_NEAR(static_cast<double>(f.per_pair()[j]) / frequencies[j], 1, 1e-6) << j;
    }
    double worst = 0;
    std::vector<float> row(256);
    for (size_t i = 0; i < positions.size(); ++i) {
      f.fill_row(static_cast<int64_t>(positions[i]), 0, row.data());
      for (size_t j = 0; j < 64; ++j) {
        const double cosine = arrays.at(name + ".cos")[i * 64 + j];
        const double sine = arrays.at(name + ".sin")[i * 64 + j];
        worst = std::max({worst, std::abs(static_cast<double>(row[2 * j]) - cosine),
                          std::abs(static_cast<double>(row[128 + 2 * j + 1]) - sine)});
      }
    }
    EXPECT_LE(worst, 1e-6);
  }
}

TEST(Rope, ScalingOfLlama31DiffersFromScouts_FactsRow5) {
  const std::vector<float> scout = rope_frequencies(128, 500000, kScout).per_pair();
  const std::vector<float> plain = rope_frequencies(128, 500000).per_pair();
  EXPECT_EQ(scout.front(), 1.0f);
  EXPECT_EQ(scout.back(), plain.back() / 16);
  EXPECT_NE(scout, rope_frequencies(128, 500000, kLlama31).per_pair());
}

TEST(Rope, ReadsTheDivisorsThatGgufStores) {
  const std::vector<float> plain = rope_frequencies(16, 500000).per_pair();
  const RopeFrequencies scaled = rope_frequencies(16, 500000, kScout);
  std::vector<float> divisors;
  for (size_t j = 0; j < plain.size(); ++j) {
    divisors.push_back(std::round(plain[j] / scaled.per_pair()[j]));
  }
  EXPECT_THAT(divisors, ::testing::Contains(16.0f));
  EXPECT_EQ(rope_frequencies(16, 500000, divisors).per_pair(), scaled.per_pair());
}

TEST(Rope, IsExactAtTenMillionWithAPeriod) {
  const RopeFrequencies f = rope_frequencies(128, 500000, kScout);
  std::vector<int64_t> positions;
  std::vector<int64_t> reduced;
  for (int64_t p = 10'000'000 - 40; p < 10'000'000; ++p) {
    positions.push_back(p);
    reduced.push_back(p % 8192);
  }
  const auto T = static_cast<int64_t>(positions.size());
  const Tensor x = test::randn({T, 2, 128}, 1);
  const Tensor y = rope(x, positions, f, 8192);
  const std::vector<double> wanted = reference(test::to_double(x), reduced, f.per_pair());
  const std::vector<double> got = test::to_double(y);
  for (size_t i = 0; i < got.size(); ++i) {
    EXPECT_NEAR(got[i], wanted[i], 1e-6 * (1 + std::abs(wanted[i])));
  }
  // What a score sees: the angle between two positions of one chunk, to 1e-6 of the fp64 one.
  std::vector<float> near(256);
  std::vector<float> far(256);
  f.fill_row(9'994'300, 8192, near.data());
  f.fill_row(9'999'999, 8192, far.data());
  ASSERT_EQ(9'994'300 / 8192, 9'999'999 / 8192);
  for (size_t j = 0; j < 64; ++j) {
    const double angle = 5699.0 * static_cast<double>(f.per_pair()[j]);
    const double cosine =
        static_cast<double>(near[2 * j]) * static_cast<double>(far[2 * j]) +
        static_cast<double>(near[129 + 2 * j]) * static_cast<double>(far[129 + 2 * j]);
    EXPECT_NEAR(cosine, std::cos(angle), 1e-6) << j;
  }
}

TEST(Rope, GivesAPositionTheSameBitsHoweverItIsAskedFor) {
  const RopeFrequencies f = rope_frequencies(32, 10000);
  const Tensor x = test::randn({1, 2, 32}, 1);
  for (const int64_t period : {0, 128, 100000}) {
    for (const int64_t position : {5, 300, 32767, 32768, 99999, 5000000}) {
      const std::vector<int64_t> alone = {position};
      const Tensor y = rope(x, alone, f, period);
      // Beside a far position the shared table is not used.
      std::vector<float> twice(x.values<float>().begin(), x.values<float>().end());
      twice.insert(twice.end(), x.values<float>().begin(), x.values<float>().end());
      const std::vector<int64_t> both = {position, 70000};
      const Tensor two = rope(Tensor::from(twice, {2, 2, 32}, x.device()), both, f, period);
      EXPECT_TRUE(test::same_bits(y, two.rows(0, 1))) << position << " of " << period;
    }
  }
}

TEST(Rope, TurnsQueriesAndKeysAsEachByItself) {
  const RopeFrequencies f = rope_frequencies(16, 10000);
  const std::vector<int64_t> positions = {3, 0, 40};
  const Tensor q = autograd::parameter(test::randn({3, 4, 16}, 1));
  const Tensor k = autograd::parameter(test::randn({3, 2, 16}, 2));
  const auto [q_turned, k_turned] = rope(q, k, positions, f, 32);
  EXPECT_TRUE(test::same_bits(q_turned, rope(q, positions, f, 32)));
  EXPECT_TRUE(test::same_bits(k_turned, rope(k, positions, f, 32)));
  for (const auto& [x, y] : {std::pair(q, q_turned), std::pair(k, k_turned)}) {
    const Tensor dy = test::randn(x.shape(), 3);
    autograd::backward(y, dy);
    const Tensor dx = autograd::gradient(x).clone();
    autograd::clear_gradient(x);
    autograd::backward(rope(x, positions, f, 32), dy);
    EXPECT_TRUE(test::same_bits(dx, autograd::gradient(x)));
  }
  EXPECT_THROW(rope(q, test::randn({2, 2, 16}, 1), positions, f, 0), ShapeError);
}

TEST(RopeErrors, SayWhatTheyGot) {
  const RopeFrequencies f = rope_frequencies(16, 10000);
  const std::vector<int64_t> positions = {0, 1};
  const std::vector<int64_t> negative = {0, -1};
  const std::vector<float> divisors(7, 1.0f);
  using ::testing::HasSubstr;
  using ::testing::ThrowsMessage;
  EXPECT_THAT(
      [&] {
        rope(test::randn({2, 1, 8}, 1), positions, f, 0);
      },
      ThrowsMessage<ShapeError>(HasSubstr("x is [2, 1, 8], needs [2 positions, heads, 16]")));
  EXPECT_THROW(rope(test::randn({3, 1, 16}, 1), positions, f, 0), ShapeError);
  EXPECT_THROW(rope(test::randn({2, 16}, 1), positions, f, 0), ShapeError);
  EXPECT_THAT(
      [&] {
        rope(test::randn({2, 1, 16}, 1), negative, f, 0);
      },
      ThrowsMessage<UsageError>(HasSubstr("position -1")));
  EXPECT_THROW(rope(test::randn({2, 1, 16}, 1), positions, f, -1), UsageError);
  EXPECT_THROW(rope(test::to_dtype(test::randn({2, 1, 16}, 1), DType::kBF16), positions, f, 0),
               NotSupported);
  EXPECT_THAT([] { rope_frequencies(15, 10000); }, ThrowsMessage<UsageError>(HasSubstr("15")));
  EXPECT_THROW(rope_frequencies(16, 0), UsageError);
  EXPECT_THROW(rope_frequencies(16, 10000, RopeScaling{0, 1, 1, 8192}), UsageError);
  EXPECT_THROW(rope_frequencies(16, 10000, RopeScaling{16, 1, 1, 0}), UsageError);
  EXPECT_THROW(rope_frequencies(16, 10000, divisors), UsageError);
  EXPECT_THAT([] { rope_table_2d(6, 10000, 2, 2); }, ThrowsMessage<UsageError>(HasSubstr("6")));
  EXPECT_THROW(rope_table_2d(8, 10000, 0, 2), UsageError);
  EXPECT_THROW(rope_table_2d(8, 10000, 1 << 12, 1 << 12), UsageError);
  const auto table = rope_table_2d(16, 10000, 2, 2);
  const std::vector<int64_t> beyond = {0, 5};
  EXPECT_THAT(
      [&] {
        rope(test::randn({2, 1, 16}, 1), beyond, table);
      },
      ThrowsMessage<UsageError>(HasSubstr("row 5, the table has 5")));
  EXPECT_THROW(rope(test::randn({2, 1, 8}, 1), positions, table), ShapeError);
}

}  // namespace
}  // namespace corral::ops
