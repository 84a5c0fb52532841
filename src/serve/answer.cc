#include "serve/answer.h"

#include <atomic>
#include <deque>
#include <optional>
#include <utility>

#include "serve/api_error.h"
#include "serve/service.h"

namespace corral::serve {
namespace {

// Prompts of one request that are with the engine at the same time: enough to fill its batches,
// few enough that a long list does not fill its queue.
constexpr size_t kAtOnce = 16;

/// Whose slot remembers what was answered.
struct Session {
  std::string client;
  std::optional<int64_t> slot;
};

/// What the sinks of a request's prompts share.
class Answer : public std::enable_shared_from_this<Answer> {
 public:
  Answer(Lease model, std::vector<engine::Request> requests, std::shared_ptr<AnswerWriter> writer,
         Ended ended)
      : model_(std::move(model)), writer_(std::move(writer)), ended_(std::move(ended)) {
    for (engine::Request& request : requests) requests_.push_back(std::move(request));
  }

  /// Throws what the engine says to one of the first prompts; those it took are cancelled.
  void begin() {
    const std::lock_guard lock(mutex_);
    try {
      while (open_ < kAtOnce && !requests_.empty()) submit_next();
    } catch (...) {
      cancel();
      throw;
    }
  }
  /// The client left.
  void leave() {
    gone_ = true;
    const std::lock_guard lock(mutex_);
    cancel();
  }

  void prompt(int64_t first_choice, const engine::PromptResult& result) {
    const std::lock_guard lock(mutex_);
    usage_.prompt_tokens += result.tokens;
    usage_.cached_tokens += result.cached_tokens;
    writer_->prompt(first_choice, result);
  }
  void step(int64_t choice, const engine::Step& step) {
    if (gone_) throw Error("the client left");
    const std::lock_guard lock(mutex_);
    writer_->step(choice, step);
  }
  void finish(int64_t choice, engine::FinishReason reason) {
    const std::lock_guard lock(mutex_);
    if (reason == engine::FinishReason::kDeadline) {
      late_ = true;
    } else if (reason == engine::FinishReason::kCancelled) {
      cancelled_ = true;
    } else if (reason != engine::FinishReason::kFailed) {
      writer_->finished(choice, reason);
    }
  }
  void end(const engine::Outcome& outcome, const Session& session) {
    if (session.slot && !outcome.identities.empty()) {
      model_->slots().put(session.client, *session.slot, outcome.identities);
    }
    const std::lock_guard lock(mutex_);
    usage_.completion_tokens += outcome.answer_tokens;
    usage_.drafted += outcome.drafted;
    usage_.accepted += outcome.accepted;
    if (!outcome.error.empty()) error_ = outcome.error;
    --open_;
    if (gone_ || cancelled_ || late_ || !error_.empty()) requests_.clear();
    try {
      if (!requests_.empty()) submit_next();
    } catch (const Error& error) {
      error_ = error.what();
      requests_.clear();
    }
    if (open_ == 0 && !refused_) tell_end();
  }

 private:
  // All under the mutex.
  void submit_next();
  void cancel() {
    refused_ = refused_ || !gone_;
    gone_ = true;
    requests_.clear();
    for (const int64_t id : ids_) model_->engine().cancel(id);
  }
  void tell_end() {
    if (gone_ || cancelled_) return ended_(499, usage_);
    if (!error_.empty()) {
      writer_->failed(ApiError(500, error_));
      return ended_(500, usage_);
    }
    if (late_) {
      writer_->failed(ApiError(504, "the request took longer than its timeout"));
      return ended_(504, usage_);
    }
    writer_->ended(usage_);
    ended_(200, usage_);
  }

  Lease model_;
  std::shared_ptr<AnswerWriter> writer_;
  Ended ended_;
  std::mutex mutex_;
  std::deque<engine::Request> requests_;  // that the engine does not have yet
  std::vector<int64_t> ids_;
  int64_t next_choice_ = 0;
  Usage usage_;
  size_t open_ = 0;  // with the engine
  std::string error_;
  bool late_ = false;
  bool cancelled_ = false;
  bool refused_ = false;  // begin() threw: its caller tells the end
  std::atomic<bool> gone_{false};
};

class PromptSink : public engine::Sink {
 public:
  PromptSink(std::shared_ptr<Answer> answer, int64_t first_choice, Session session)
      : answer_(std::move(answer)), first_choice_(first_choice), session_(std::move(session)) {}

  void on_prompt(engine::PromptResult result) override { answer_->prompt(first_choice_, result); }
  void on_step(int64_t choice, engine::Step step) override {
    answer_->step(first_choice_ + choice, step);
  }
  void on_finish(int64_t choice, engine::FinishReason reason) override {
    answer_->finish(first_choice_ + choice, reason);
  }
  void on_end(const engine::Outcome& outcome) override { answer_->end(outcome, session_); }

 private:
  std::shared_ptr<Answer> answer_;
  int64_t first_choice_;
  Session session_;
};

void Answer::submit_next() {
  engine::Request request = std::move(requests_.front());
  requests_.pop_front();
  request.sink = std::make_shared<PromptSink>(shared_from_this(), next_choice_,
                                              Session{request.client, request.session});
  next_choice_ += request.choices;
  ids_.push_back(model_->engine().submit(std::move(request)));
  ++open_;
}

}  // namespace

std::string sse_event(const std::string& data) { return "data: " + data + "\n\n"; }

void answer(const Lease& model, std::vector<engine::Request> requests,
            std::shared_ptr<AnswerWriter> writer, const ResponderPtr& responder, Ended ended) {
  const auto shared =
      std::make_shared<Answer>(model, std::move(requests), std::move(writer), std::move(ended));
  try {
    shared->begin();
  } catch (const engine::Overloaded& error) {
    throw ApiError(429, error.what());
  } catch (const Error& error) {
    throw ApiError(400, error.what());
  }
  responder->on_gone([shared] { shared->leave(); });
}

}  // namespace corral::serve
