#include "quant/two_level.h"

#include <algorithm>
#include <cmath>

namespace corral::quant {
namespace {

// Rounds of choosing integers for a scale and fitting the scale to them.
constexpr int kRounds = 2;

struct Group {
  const float* x;
  const float* w;
  int64_t n;
};

Group group_at(const BlockValues& values, int64_t group_values, int64_t g) {
  return {values.x() + g * group_values, values.w() + g * group_values, group_values};
}

int rounded(double value, int lo, int hi) {
  return static_cast<int>(
      std::clamp(std::nearbyint(value), static_cast<double>(lo), static_cast<double>(hi)));
}

/// The trial with the smallest error; the first of equals.
int best_trial(const TrialSums& sums) {
  const float* best = std::min_element(sums.error, sums.error + kTrials);
  return static_cast<int>(best - sums.error);
}

struct ScaledChoice {
  std::array<int, 16> integer{};
  double error = 0;
  double refitted = 0;  // the scale that is best for these integers and their codes
};

ScaledChoice choose_integers(const BlockValues& values, int64_t group_values, int lowest,
                             const CodeSet& codes, const std::array<float, 16>& wanted,
                             float scale) {
  ScaledChoice choice;
  double wxq = 0;
  double wqq = 0;
  for (int64_t g = 0; g < kBlockValues / group_values; ++g) {
    const auto at = static_cast<size_t>(g);
    const Group group = group_at(values, group_values, g);
    const double ratio = scale == 0 ? 0 : static_cast<double>(wanted.at(at) / scale);
    const int middle = rounded(ratio, lowest, -lowest - 1);
    std::array<int, kTrials> integers{};
    ScaleTask task{.x = group.x, .w = group.w, .n = group.n, .scale = {}, .offset = {}};
    for (int t = 0; t < kTrials; ++t) {
      const int integer = std::clamp(middle + t - kTrials / 2, lowest, -lowest - 1);
      integers.at(static_cast<size_t>(t)) = integer;
      task.scale[t] = scale * static_cast<float>(integer);
    }
    const TrialSums sums = score(task, codes);
    const int best = best_trial(sums);
    choice.integer.at(at) = integers.at(static_cast<size_t>(best));
    const double c = choice.integer.at(at);
    choice.error += static_cast<double>(sums.error[best]);
    wxq += c * static_cast<double>(sums.wxq[best]);
    wqq += c * c * static_cast<double>(sums.wqq[best]);
  }
  choice.refitted = wqq > 0 ? wxq / wqq : static_cast<double>(scale);
  return choice;
}

struct OffsetChoice {
  std::array<int, 16> integer{};
  std::array<int, 16> offset{};
  double error = 0;
  double scale = 0;  // best for these integers and their codes
  double offset_scale = 0;
};

/// The normal equations of a block's two scales.
struct TwoScales {
  double cc = 0, co = 0, oo = 0, cx = 0, ox = 0;

  void add(const Group& group, double c, double o, const TrialSums& sums, int t) {
    const auto wq = static_cast<double>(sums.wq[t]);
    cc += c * c * static_cast<double>(sums.wqq[t]);
    co += c * o * wq;
    cx += c * static_cast<double>(sums.wxq[t]);
    for (int64_t i = 0; i < group.n; ++i) {
      oo += o * o * static_cast<double>(group.w[i]);
      ox += o * static_cast<double>(group.w[i]) * static_cast<double>(group.x[i]);
    }
  }
  // x = scale (c q) - offset_scale o
  void solve(OffsetChoice& choice) const {
    const double determinant = cc * oo - co * co;
    if (determinant > 1e-9 * cc * oo) {
      choice.scale = (cx * oo - co * ox) / determinant;
      choice.offset_scale = (co * cx - cc * ox) / determinant;
    } else if (cc > 0) {
      choice.scale = cx / cc;
    }
  }
};

OffsetChoice choose_offsets(const BlockValues& values, int64_t group_values, int most, int hi,
                            const std::array<Fit, 16>& wanted, float scale, float offset_scale) {
  OffsetChoice choice;
  choice.scale = static_cast<double>(scale);
  choice.offset_scale = static_cast<double>(offset_scale);
  TwoScales equations;
  for (int64_t g = 0; g < kBlockValues / group_values; ++g) {
    const auto at = static_cast<size_t>(g);
    const Group group = group_at(values, group_values, g);
    const Fit& fit = wanted.at(at);
    const int c0 = scale == 0 ? 0 : rounded(static_cast<double>(fit.scale / scale), 0, most);
    const int o0 =
        offset_scale == 0 ? 0 : rounded(static_cast<double>(-fit.offset / offset_scale), 0, most);
    std::array<int, kTrials> integers{};
    std::array<int, kTrials> offsets{};
    ScaleTask task{.x = group.x, .w = group.w, .n = group.n, .scale = {}, .offset = {}};
    for (int t = 0; t < kTrials; ++t) {
      // Three scales by five offsets around what is wanted, and no offset at all.
      const bool last = t == kTrials - 1;
      const int c = std::clamp(c0 + t % 3 - 1, 0, most);
      const int o = last ? 0 : std::clamp(o0 + t / 3 - 2, 0, most);
      integers.at(static_cast<size_t>(t)) = c;
      offsets.at(static_cast<size_t>(t)) = o;
      task.scale[t] = scale * static_cast<float>(c);
      task.offset[t] = -offset_scale * static_cast<float>(o);
    }
    const TrialSums sums = score(task, integer_codes(0, hi));
    const int best = best_trial(sums);
    choice.integer.at(at) = integers.at(static_cast<size_t>(best));
    choice.offset.at(at) = offsets.at(static_cast<size_t>(best));
    choice.error += static_cast<double>(sums.error[best]);
    equations.add(group, choice.integer.at(at), choice.offset.at(at), sums, best);
  }
  equations.solve(choice);
  return choice;
}

}  // namespace

ScaledBlock fit_scaled_block(const BlockValues& values, int64_t group_values, int lowest,
                             const CodeSet& codes) {
  std::array<float, 16> wanted{};
  float extreme = 0;
  for (int64_t g = 0; g < kBlockValues / group_values; ++g) {
    const Group group = group_at(values, group_values, g);
    const float scale = fit_scale(group.x, group.w, group.n, codes);
    wanted.at(static_cast<size_t>(g)) = scale;
    if (std::abs(scale) > std::abs(extreme)) extreme = scale;
  }
  BlockValues::Half scale = values.to_half(static_cast<double>(extreme) / lowest);
  BlockValues::Half best_scale = scale;
  ScaledChoice best;
  for (int round = 0; round < kRounds; ++round) {
    const ScaledChoice choice =
        choose_integers(values, group_values, lowest, codes, wanted, scale.value);
    if (round == 0 || choice.error < best.error) {
      best = choice;
      best_scale = scale;
    }
    scale = values.to_half(choice.refitted);
  }
  ScaledBlock block{.scale = best_scale.bits, .integer = best.integer, .code = {}};
  for (int64_t i = 0; i < kBlockValues; ++i) {
    const int integer = best.integer.at(static_cast<size_t>(i / group_values));
    block.code.at(static_cast<size_t>(i)) =
        nearest_code(values.x()[i], best_scale.value * static_cast<float>(integer), 0, codes);
  }
  return block;
}

OffsetBlock fit_offset_block(const BlockValues& values, int64_t group_values, int most, int hi) {
  std::array<Fit, 16> wanted{};
  Fit extreme = {0, 0};
  for (int64_t g = 0; g < kBlockValues / group_values; ++g) {
    const Group group = group_at(values, group_values, g);
    const Fit fit = fit_scale_and_offset(group.x, group.w, group.n, hi, Offset::kNotPositive);
    wanted.at(static_cast<size_t>(g)) = fit;
    extreme = {std::max(extreme.scale, fit.scale), std::min(extreme.offset, fit.offset)};
  }
  BlockValues::Half scale = values.to_half(static_cast<double>(extreme.scale) / most);
  BlockValues::Half offset_scale = values.to_half(static_cast<double>(-extreme.offset) / most);
  BlockValues::Half best_scale = scale;
  BlockValues::Half best_offset_scale = offset_scale;
  OffsetChoice best;
  for (int round = 0; round < kRounds; ++round) {
    const OffsetChoice choice =
        choose_offsets(values, group_values, most, hi, wanted, scale.value, offset_scale.value);
    if (round == 0 || choice.error < best.error) {
      best = choice;
      best_scale = scale;
      best_offset_scale = offset_scale;
    }
    scale = values.to_half(std::max(choice.scale, 0.0));
    offset_scale = values.to_half(std::max(choice.offset_scale, 0.0));
  }
  OffsetBlock block{.scale = best_scale.bits,
                    .offset_scale = best_offset_scale.bits,
                    .integer = best.integer,
                    .offset = best.offset,
                    .code = {}};
  const CodeSet codes = integer_codes(0, hi);
  for (int64_t i = 0; i < kBlockValues; ++i) {
    const auto g = static_cast<size_t>(i / group_values);
    block.code.at(static_cast<size_t>(i)) =
        nearest_code(values.x()[i], best_scale.value * static_cast<float>(best.integer.at(g)),
                     -best_offset_scale.value * static_cast<float>(best.offset.at(g)), codes);
  }
  return block;
}

}  // namespace corral::quant
