#include "engine/sampler.h"

#include <algorithm>
#include <cmath>
#include <unordered_set>

#include "base/error.h"

namespace corral::engine {
namespace {

void check_range(const char* name, double value, double low, double high) {
  if (value >= low && value <= high) return;  // NaN fails too
  throw UsageError(str(name, " is ", value, ", needs ", low, " to ", high));
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

int32_t greedy_token(std::span<const float> logits_V) {
  size_t best = 0;
  for (size_t i = 1; i < logits_V.size(); ++i) {
    if (logits_V[i] > logits_V[best]) best = i;
  }
  return static_cast<int32_t>(best);
}

int32_t Sampler::sample(std::span<const float> logits_V, std::span<const int32_t> context) {
  ++drawn_;
  for (const float logit : logits_V) {
    if (std::isnan(logit))
      throw Error("the model's logits are not numbers: the weights are damaged");
  }
  const int32_t token = choose(logits_V, context);
  if (options_.presence_penalty != 0 || options_.frequency_penalty != 0) ++chosen_[token];
  return token;
}

bool Sampler::changes_logits() const {
  return options_.repetition_penalty != 1.0 || !options_.logit_bias.empty() || !chosen_.empty();
}

int32_t Sampler::choose(std::span<const float> logits_V, std::span<const int32_t> context) {
  if (options_.temperature == 0 && !changes_logits()) return greedy_token(logits_V);
  candidates_.resize(logits_V.size());
  for (size_t i = 0; i < logits_V.size(); ++i) {
    candidates_[i] = {static_cast<int32_t>(i), logits_V[i]};
  }
  add_bias();
  if (options_.repetition_penalty != 1.0) penalise(context);
  if (options_.temperature == 0) {
    return std::max_element(
               candidates_.begin(), candidates_.end(),
               [](const Candidate& a, const Candidate& b) { return a.weight < b.weight; })
        ->token;
  }
  keep_likeliest();
  return draw();
}

void Sampler::add_bias() {
  const auto add = [this](int32_t token, double amount) {
    if (static_cast<size_t>(token) < candidates_.size()) {
      candidates_[static_cast<size_t>(token)].weight += amount;
    }
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
    if (token < 0 || static_cast<size_t>(token) >= candidates_.size()) continue;
    double& logit = candidates_[static_cast<size_t>(token)].weight;
    logit = logit > 0 ? logit / options_.repetition_penalty : logit * options_.repetition_penalty;
  }
}

void Sampler::keep_likeliest() {
  const auto likelier = [](const Candidate& a, const Candidate& b) {
    return a.weight > b.weight || (a.weight == b.weight && a.token < b.token);
  };
  if (options_.top_k > 0 && static_cast<size_t>(options_.top_k) < candidates_.size()) {
    const auto end = candidates_.begin() + options_.top_k;
    std::nth_element(candidates_.begin(), end, candidates_.end(), likelier);
    candidates_.erase(end, candidates_.end());
  }
  std::sort(candidates_.begin(), candidates_.end(), likelier);
  const double best = candidates_.front().weight;
  if (!std::isfinite(best)) throw Error("no logit of the model is finite: the weights are damaged");
  double total = 0;
  for (Candidate& candidate : candidates_) {
    candidate.weight = std::exp((candidate.weight - best) / options_.temperature);
    total += candidate.weight;
  }
  double kept = 0;
  size_t count = 0;
  while (count < candidates_.size() && (count == 0 || kept < options_.top_p * total)) {
    kept += candidates_[count++].weight;
  }
  candidates_.resize(count);
  // The likeliest has weight 1, so min_p compares directly.
  while (candidates_.size() > 1 && candidates_.back().weight < options_.min_p)
    candidates_.pop_back();
}

int32_t Sampler::draw() const {
  double total = 0;
  for (const Candidate& candidate : candidates_) total += candidate.weight;
  double left = random_.uniform(drawn_) * total;
  for (const Candidate& candidate : candidates_) {
    left -= candidate.weight;
    if (left < 0) return candidate.token;
  }
  return candidates_.back().token;
}

}  // namespace corral::engine
