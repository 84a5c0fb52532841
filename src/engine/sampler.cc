#include "engine/sampler.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <unordered_set>

#include "base/error.h"

namespace corral::engine {
namespace {

void check_range(const char* name, double value, double low, double high) {
  if (value >= low && value <= high) return;  // NaN fails too
  throw UsageError(str(name, " is ", value, ", needs ", low, " to ", high));
}

// Never smaller for a greater logit.
uint16_t leading_bits(double logit) {
  const auto bits = std::bit_cast<uint32_t>(static_cast<float>(logit));
  const uint32_t ordered = (bits >> 31) != 0 ? ~bits : bits | 0x80000000u;
  return static_cast<uint16_t>(ordered >> 16);
}

}  // namespace

void SamplingOptions::check() const {
  check_range("temperature", temperature, 0, 100);
  check_range("top_k", static_cast<double>(top_k), 0, 1e9);
  check_range("top_p", top_p, 0, 1);
  check_range("min_p", min_p, 0, 1);
  check_range("repetition_penalty", repetition_penalty, 0.01, 100);
  check_range("repetition_window", static_cast<double>(repetition_window), 0, 1e9);
  check_range("presence_penalty", presence_penalty, -2, 2);
  check_range("frequency_penalty", frequency_penalty, -2, 2);
  for (const auto& [token, bias] : logit_bias) {
    check_range("logit_bias", bias, -100, 100);
    if (token < 0) throw UsageError(str("logit_bias: ", token, " is no token"));
  }
}

Sampler::Sampler(const SamplingOptions& options) : options_(options), random_(options.seed) {
  options_.check();
}

// Without the working memory, which is as long as the vocabulary.
Sampler Sampler::fork() const {
  Sampler copy(options_);
  copy.drawn_ = drawn_;
  copy.chosen_ = chosen_;
  return copy;
}

int32_t greedy_token(std::span<const float> logits_V) {
  // The greatest of every kLanes-th logit: so compilers compare many at once.
  constexpr size_t kLanes = 32;
  std::array<float, kLanes> greatest;
  greatest.fill(-std::numeric_limits<float>::infinity());
  const size_t whole = logits_V.size() / kLanes * kLanes;
  for (size_t i = 0; i < whole; i += kLanes) {
    for (size_t lane = 0; lane < kLanes; ++lane) {
      greatest[lane] = std::max(greatest[lane], logits_V[i + lane]);
    }
  }
  for (size_t i = whole; i < logits_V.size(); ++i) {
    greatest[0] = std::max(greatest[0], logits_V[i]);
  }
  const float best = *std::max_element(greatest.begin(), greatest.end());
  const auto found = std::find(logits_V.begin(), logits_V.end(), best);
  return found == logits_V.end() ? 0 : static_cast<int32_t>(found - logits_V.begin());
}

int32_t Sampler::sample(std::span<const float> logits_V, std::span<const int32_t> context,
                        const TokenMask* mask) {
  ++drawn_;
  bool all_numbers = true;
  for (const float logit : logits_V) all_numbers &= !std::isnan(logit);
  if (!all_numbers) throw Error("the model's logits are not numbers: the weights are damaged");
  const int32_t token = choose(logits_V, context, mask);
  if (options_.presence_penalty != 0 || options_.frequency_penalty != 0) ++chosen_[token];
  return token;
}

bool Sampler::changes_logits() const {
  return options_.repetition_penalty != 1.0 || !options_.logit_bias.empty() || !chosen_.empty();
}

int32_t Sampler::choose(std::span<const float> logits_V, std::span<const int32_t> context,
                        const TokenMask* mask) {
  if (options_.temperature == 0 && !changes_logits() && mask == nullptr) {
    return greedy_token(logits_V);
  }
  read_logits(logits_V, mask);
  add_bias();
  if (options_.repetition_penalty != 1.0) penalise(context);
  const auto best = std::max_element(logits_.begin(), logits_.end());
  if (best == logits_.end() || !std::isfinite(*best)) {
    throw Error("no logit of the model is finite: the weights are damaged");
  }
  if (options_.temperature == 0) return static_cast<int32_t>(best - logits_.begin());
  if (options_.top_k > 0) keep_top_k();
  return draw(*best);
}

void Sampler::read_logits(std::span<const float> logits_V, const TokenMask* mask) {
  if (mask == nullptr) {
    logits_.assign(logits_V.begin(), logits_V.end());
    return;
  }
  logits_.assign(logits_V.size(), -std::numeric_limits<double>::infinity());
  for (size_t word = 0; word < mask->words().size(); ++word) {
    for (uint64_t bits = mask->words()[word]; bits != 0; bits &= bits - 1) {
      const size_t token = word * 64 + static_cast<size_t>(std::countr_zero(bits));
      if (token < logits_.size()) logits_[token] = logits_V[token];
    }
  }
}

void Sampler::add_bias() {
  const auto add = [this](int32_t token, double amount) {
    if (static_cast<size_t>(token) < logits_.size()) logits_[static_cast<size_t>(token)] += amount;
  };
  for (const auto& [token, bias] : options_.logit_bias) add(token, bias);
  for (const auto& [token, count] : chosen_) {
    add(token,
        -options_.presence_penalty - options_.frequency_penalty * static_cast<double>(count));
  }
}

void Sampler::penalise(std::span<const int32_t> context) {
  const auto window = static_cast<size_t>(options_.repetition_window);
  const auto recent = context.last(std::min(window, context.size()));
  const std::unordered_set<int32_t> seen(recent.begin(), recent.end());
  for (const int32_t token : seen) {
    if (token < 0 || static_cast<size_t>(token) >= logits_.size()) continue;
    double& logit = logits_[static_cast<size_t>(token)];
    logit = logit > 0 ? logit / options_.repetition_penalty : logit * options_.repetition_penalty;
  }
}

// Counts logits by their leading bits to find a range that the k-th lies in; only that range has to
// be put in order.
void Sampler::keep_top_k() {
  const auto k = static_cast<size_t>(options_.top_k);
  if (k >= logits_.size()) return;
  std::vector<uint32_t> counts(size_t{1} << 16, 0);
  for (const double logit : logits_) ++counts[leading_bits(logit)];
  size_t range = counts.size() - 1;
  size_t above = 0;
  for (; above + counts[range] < k; --range) above += counts[range];
  std::vector<Candidate> at_border;
  for (size_t i = 0; i < logits_.size(); ++i) {
    const uint16_t bits = leading_bits(logits_[i]);
    if (bits > range) continue;
    if (bits == range) at_border.push_back({static_cast<int32_t>(i), logits_[i], 0});
    logits_[i] = -std::numeric_limits<double>::infinity();
  }
  const auto kept = static_cast<ptrdiff_t>(k - above);
  std::nth_element(at_border.begin(), at_border.begin() + kept - 1, at_border.end(), likelier);
  for (auto one = at_border.begin(); one != at_border.begin() + kept; ++one) {
    logits_[static_cast<size_t>(one->token)] = one->logit;
  }
}

int32_t Sampler::draw(double best) {
  Likelihoods& likelihoods = likelihoods_;
  likelihoods.reset(logits_, best, options_.temperature);
  const size_t above_min_p = likelihoods.ranges_above(options_.min_p);
  const double limit = options_.top_p < 1 ? options_.top_p * likelihoods.total()
                                          : std::numeric_limits<double>::infinity();
  // In the order of likelihood, top-p and min-p keep a beginning: whole ranges, and the first of
  // the candidates behind them.
  double kept = 0;
  size_t whole = 0;
  while (whole < above_min_p && kept + likelihoods.sum(whole) < limit) {
    kept += likelihoods.sum(whole++);
  }
  std::vector<Candidate> behind;
  bool more = true;
  for (size_t range = whole; more && range < likelihoods.ranges(); ++range) {
    for (const Candidate& one : likelihoods.sorted(range)) {
      more = kept == 0 || (kept < limit && one.weight >= options_.min_p);
      if (!more) break;
      behind.push_back(one);
      kept += one.weight;
    }
  }

  double left = random_.uniform(drawn_) * kept;
  int32_t last = -1;
  const auto choose_from = [&](const std::vector<Candidate>& list) {
    for (const Candidate& one : list) {
      last = one.token;
      left -= one.weight;
      if (left < 0) return true;
    }
    return false;
  };
  for (size_t range = 0; range < whole; ++range) {
    // The last range is looked at in any case: rounding may leave a rest behind it.
    if (left >= likelihoods.sum(range) && (range + 1 < whole || !behind.empty())) {
      left -= likelihoods.sum(range);
    } else if (choose_from(likelihoods.sorted(range))) {
      return last;
    }
  }
  choose_from(behind);
  return last;
}

}  // namespace corral::engine
