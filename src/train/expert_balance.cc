#include "train/expert_balance.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.h"

namespace corral::train {

ExpertBalance::ExpertBalance(const std::vector<model::LayerSpec>& layers, double coefficient)
    : coefficient_(coefficient) {
  for (const model::LayerSpec& spec : layers) {
    const auto experts = static_cast<size_t>(spec.moe ? spec.experts : 0);
    layers_.push_back({std::vector<int64_t>(experts), std::vector<double>(experts),
                       std::vector<int64_t>(experts)});
  }
}

void ExpertBalance::begin_step(int64_t global_tokens) {
  global_tokens_ = global_tokens;
  for (Layer& layer : layers_) std::fill(layer.counts.begin(), layer.counts.end(), 0);
}

void ExpertBalance::end_step() {
  for (Layer& layer : layers_) {
    for (size_t e = 0; e < layer.counts.size(); ++e) {
      layer.idle[e] = layer.counts[e] == 0 ? layer.idle[e] + 1 : 0;
    }
  }
}

std::span<const double> ExpertBalance::load_fractions(int64_t layer, const ops::Routing& routing,
                                                      bool again) {
  Layer& state = layers_.at(static_cast<size_t>(layer));
  if (again) return state.fractions;
  int64_t total = 0;
  for (size_t e = 0; e < state.counts.size(); ++e) {
    state.counts[e] += routing.load(static_cast<int64_t>(e));
    total += state.counts[e];
  }
  for (size_t e = 0; e < state.counts.size(); ++e) {
    state.fractions[e] = total > 0
                             ? static_cast<double>(state.counts[e]) / static_cast<double>(total)
                             : 1.0 / static_cast<double>(state.counts.size());
  }
  return state.fractions;
}

std::vector<LoadReport> ExpertBalance::reports() const {
  std::vector<LoadReport> reports;
  for (const Layer& layer : layers_) {
    if (layer.counts.empty()) continue;
    const auto experts = static_cast<double>(layer.counts.size());
    const auto total = static_cast<double>(std::max<int64_t>(
        std::accumulate(layer.counts.begin(), layer.counts.end(), int64_t{0}), 1));
    LoadReport report;
    for (size_t e = 0; e < layer.counts.size(); ++e) {
      const double share = static_cast<double>(layer.counts[e]) / total;
      report.max_violation = std::max(report.max_violation, share * experts - 1);
      if (share > 0) report.entropy -= share * std::log(share);
      if (layer.idle[e] >= kDeadSteps) ++report.dead;
    }
    report.entropy = layer.counts.size() > 1 ? report.entropy / std::log(experts) : 1.0;
    reports.push_back(report);
  }
  return reports;
}

std::vector<std::vector<int64_t>> ExpertBalance::counts() const {
  std::vector<std::vector<int64_t>> all;
  for (const Layer& layer : layers_) {
    if (!layer.counts.empty()) all.push_back(layer.counts);
  }
  return all;
}

std::vector<std::vector<int64_t>> ExpertBalance::idle_steps() const {
  std::vector<std::vector<int64_t>> all;
  for (const Layer& layer : layers_) {
    if (!layer.counts.empty()) all.push_back(layer.idle);
  }
  return all;
}

void ExpertBalance::restore_idle_steps(const std::vector<std::vector<int64_t>>& idle) {
  size_t next = 0;
  for (Layer& layer : layers_) {
    if (layer.counts.empty()) continue;
    if (next >= idle.size() || idle[next].size() != layer.idle.size()) {
      throw CorruptFile("the state of the experts is that of another model");
    }
    layer.idle = idle[next++];
  }
}

}  // namespace corral::train
