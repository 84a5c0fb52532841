#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "serve/http.h"

namespace corral::serve {

class ApiError;
class Service;
using Lease = std::shared_ptr<Service>;

/// What one choice of an answer has become.
struct ChoiceResult {
  std::string text;
  std::vector<engine::TokenLogprobs> logprobs;
  std::vector<std::vector<int32_t>> experts;  // of each token, if asked for
  engine::FinishReason reason = engine::FinishReason::kLength;
};

/// The tokens of a request's prompts and answers.
struct Usage {
  int64_t prompt_tokens = 0;
  int64_t cached_tokens = 0;
  int64_t completion_tokens = 0;
  int64_t drafted = 0;   // tokens that were guessed and checked
  int64_t accepted = 0;  // of these, right
};

/// How an endpoint writes what the engine brings: as it comes, or whole. Choices are counted over
/// all prompts of a request. Called by one thread at a time.
class AnswerWriter {
 public:
  virtual ~AnswerWriter() = default;
  /// The prompt that choices [first, first + n) answer is in; its log probabilities if asked for.
  virtual void prompt(int64_t first_choice, const engine::PromptResult& result) = 0;
  virtual void step(int64_t choice, const engine::Step& step) = 0;
  virtual void finished(int64_t choice, engine::FinishReason reason) = 0;
  /// All is over. Returns what to log.
  virtual void ended(const Usage& usage) = 0;
  /// Instead of ended(): no answer, or none that is whole.
  virtual void failed(const ApiError& error) = 0;
};

/// Told once, at the end of a request.
using Ended = std::function<void(int status, const Usage& usage)>;

/// Submits one engine request per prompt, a few at the same time, all answered through one writer,
/// and cancels them when the client leaves. Throws ApiError (400, 429, 503) when the engine takes
/// one of them not; those it took are cancelled. The model stays open until the last of them has
/// ended.
void answer(const Lease& model, std::vector<engine::Request> requests,
            std::shared_ptr<AnswerWriter> writer, const ResponderPtr& responder, Ended ended);

/// "data: ...\n\n".
std::string sse_event(const std::string& data);

}  // namespace corral::serve
