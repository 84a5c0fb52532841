#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "engine/speculation/speculator.h"

namespace corral::engine::fixture {

/// Knows some texts, and gets every `wrong_every`-th token wrong.
class Prophet : public DraftSource {
 public:
  Prophet(std::vector<std::vector<int32_t>> texts, size_t wrong_every)
      : texts_(std::move(texts)), wrong_every_(wrong_every) {}

  std::vector<int> look(std::span<const DraftText> texts) override {
    std::vector<int> confidences;
    for (const DraftText& text : texts) confidences.push_back(find(text) == nullptr ? kNoGuess : 3);
    return confidences;
  }
  Proposal propose(std::span<const DraftText> texts, std::span<const int64_t> lengths) override {
    Proposal proposal;
    for (size_t i = 0; i < texts.size(); ++i) {
      std::vector<int32_t>& draft = proposal.tokens.emplace_back();
      const std::vector<int32_t>* known = find(texts[i]);
      while (known != nullptr && std::ssize(draft) < lengths[i]) {
        const size_t at = texts[i].tokens.size() + draft.size();
        const int32_t token = at < known->size() ? (*known)[at] : 0;
        draft.push_back(++drafted_ % wrong_every_ == 0 ? (token + 1) % 264 : token);
      }
    }
    return proposal;
  }
  void forget(int64_t key) override { forgotten.push_back(key); }

  std::vector<int64_t> forgotten;

 private:
  const std::vector<int32_t>* find(const DraftText& text) const {
    for (const std::vector<int32_t>& known : texts_) {
      if (known.size() < text.tokens.size()) continue;
      if (std::equal(text.tokens.begin(), text.tokens.end(), known.begin())) return &known;
    }
    return nullptr;
  }

  std::vector<std::vector<int32_t>> texts_;
  size_t wrong_every_;
  size_t drafted_ = 0;
};

/// A clock for which every step takes as long: drafting always pays.
inline Speculator::Now even_steps() {
  return [now = 0.0]() mutable { return now += 1; };
}

}  // namespace corral::engine::fixture
