#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "engine/request.h"

namespace corral::engine {

/// One answer of a request as the scheduler sees it. tokens[fed..] wait to go through the model;
/// while only the last one does, the answer is being decoded, else a prompt (or, after the answer
/// had to make room for others, all of it) is fed in pieces.
struct Choice {
  int64_t index = 0;
  Generation generation;
  std::vector<int32_t> tokens;       // prompt and answer
  std::vector<uint64_t> identities;  // of these
  int64_t sequence = -1;             // in the KV cache; -1: has none
  int64_t fed = 0;
  int64_t text = 0;  // its key for a speculator

  int64_t pending() const { return static_cast<int64_t>(tokens.size()) - fed; }
  void append(int32_t token) {
    tokens.push_back(token);
    identities.push_back(static_cast<uint32_t>(token));
  }
};

/// A request on its way.
struct Job {
  int64_t id = 0;
  Request request;
  std::vector<std::unique_ptr<Choice>> choices;  // running ones; the first alone feeds the prompt
  bool prompt_done = false;
  bool cancelled = false;
  PromptResult prompt;
  std::vector<int32_t> expected;     // DraftText::expected of its choices
  std::vector<double> hidden_sum_D;  // of the prompt's tokens so far, for its embedding
  Outcome outcome;
  int64_t fetches = 0;  // steps in which a part of its beginning came from disk

  int64_t prompt_tokens() const { return static_cast<int64_t>(request.prompt.tokens.size()); }
};

}  // namespace corral::engine
