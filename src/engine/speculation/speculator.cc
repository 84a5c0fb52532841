#include "engine/speculation/speculator.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace corral::engine {

Speculator::Speculator(std::unique_ptr<DraftSource> source, int64_t most, Now now)
    : source_(std::move(source)), now_(std::move(now)), policy_(most) {}

double Speculator::steady_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

Draft Speculator::draft(std::span<const int32_t> context, int64_t room, const Sampler& sampler) {
  began_ = now_();
  DraftLengths wanted{};
  for (int confidence = 0; confidence < kConfidences; ++confidence) {
    wanted[static_cast<size_t>(confidence)] = std::min(policy_.length(confidence), room);
  }
  Draft draft = source_->propose(context, wanted, sampler);
  if (draft.confidence >= 0 && draft.tokens.empty()) policy_.turned_down(draft.confidence);
  return draft;
}

void Speculator::record(const Draft& draft, int64_t accepted) {
  const auto drafted = static_cast<int64_t>(draft.tokens.size());
  policy_.record(draft.confidence, drafted, accepted, now_() - began_);
  ++stats_.steps;
  stats_.drafted += drafted;
  stats_.accepted += accepted;
}

}  // namespace corral::engine
