#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "engine/generation.h"
#include "engine/prompt.h"

namespace corral::engine {

/// Too much is waiting: try again later.
class Overloaded : public Error {
 public:
  using Error::Error;
};

/// How the hidden states of a prompt (after the final norm) become one vector.
enum class Pooling {
  kMean,  // of all tokens, summed in f64 in their order
  kLast,  // that of the last token
};

/// What is known once a request's prompt is in the cache.
struct PromptResult {
  int64_t tokens = 0;
  int64_t cached_tokens = 0;            // found in the prefix cache
  std::vector<TokenLogprobs> logprobs;  // of the prompt's tokens from the second on, if asked for
  std::vector<float> embedding;         // [D], if asked for; not normalised
};

/// How a request ended.
struct Outcome {
  int64_t answer_tokens = 0;  // of all choices, with the tokens that ended them
  int64_t drafted = 0;        // tokens that were guessed and checked
  int64_t accepted = 0;       // of these, right
  std::string error;          // empty unless it failed
  // Of the first choice and its prompt, as far as they went through the model; if asked for.
  std::vector<uint64_t> identities = {};
};

/// Receives what a request brings, on the engine's thread: must not block. What it throws cancels
/// the request.
class Sink {
 public:
  virtual ~Sink() = default;
  // By value, since who overrides it keeps the result.
  // NOLINTNEXTLINE(performance-unnecessary-value-param)
  virtual void on_prompt(PromptResult result) { static_cast<void>(result); }
  virtual void on_step(int64_t choice, Step step) = 0;
  virtual void on_finish(int64_t choice, FinishReason reason) = 0;
  /// After all choices finished: the last call.
  virtual void on_end(const Outcome& outcome) = 0;
};

/// A prompt to answer.
struct Request {
  Prompt prompt;  // at least one token
  GenerateOptions options;
  int64_t choices = 1;                     // answers; the i-th draws with seed + i
  std::optional<int64_t> prompt_logprobs;  // log probabilities of the prompt's own tokens, and of
                                           // the k likeliest beside them
  std::optional<Pooling> embedding = {};   // the prompt as a vector
  // Tokens that the answer may well have, in this order: guesses are looked up there, too.
  std::vector<int32_t> expected = {};
  bool expert_routing = false;  // with each token the experts that chose it
  int32_t priority = 0;         // higher goes first
  // The caller's number of the session that this belongs to: the outcome tells the identities.
  std::optional<int64_t> session = {};
  std::string client;  // those of one priority take turns
  std::optional<Clock::time_point> deadline;
  std::shared_ptr<Sink> sink;
};

}  // namespace corral::engine
