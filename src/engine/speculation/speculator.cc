#include "engine/speculation/speculator.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>

namespace corral::engine {

Speculator::Speculator(std::unique_ptr<DraftSource> source, int64_t most, Now now)
    : source_(std::move(source)), now_(std::move(now)), policy_(most) {}

double Speculator::steady_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

std::vector<Draft> Speculator::draft(std::span<const DraftText> texts, int64_t rows) {
  began_ = now_();
  typical_ = true;
  std::vector<Draft> drafts;
  std::vector<DraftPolicy::Guess> guesses;
  for (const int confidence : source_->look(texts)) {
    guesses.push_back({.confidence = confidence, .room = texts[guesses.size()].room});
    drafts.push_back({.confidence = confidence});
  }
  const std::vector<int64_t> lengths = policy_.lengths(guesses, rows);
  const bool any = std::any_of(lengths.begin(), lengths.end(), [](int64_t n) { return n > 0; });
  if (!any) return drafts;
  DraftSource::Proposal proposal = source_->propose(texts, lengths);
  bool none = true;
  for (size_t i = 0; i < drafts.size(); ++i) {
    drafts[i].tokens = std::move(proposal.tokens[i]);
    none = none && drafts[i].tokens.empty();
  }
  typical_ = !proposal.caught_up && !none;
  return drafts;
}

void Speculator::record(std::span<const DraftPolicy::Result> results) {
  policy_.record(results, typical_ ? std::optional(now_() - began_) : std::nullopt);
  ++stats_.steps;
  for (const DraftPolicy::Result& result : results) {
    stats_.drafted += result.drafted;
    stats_.accepted += result.accepted;
  }
}

}  // namespace corral::engine
