#include "serve/moderation.h"

#include <map>
#include <utility>

#include "serve/endpoints.h"

namespace corral::serve {
namespace {

/// Judges conversations one after the other, until one has no verdict or the client has left.
class Round : public std::enable_shared_from_this<Round> {
 public:
  using Done = std::function<void(std::vector<Verdict> verdicts)>;
  Round(ModerationPtr moderation, std::string client, std::vector<Dialog> conversations,
        Moderation::Counts& counts, Done done)
      : moderation_(std::move(moderation)),
        client_(std::move(client)),
        conversations_(std::move(conversations)),
        counts_(counts),
        done_(std::move(done)) {}

  void start(const ResponderPtr& responder) {
    responder->on_gone([self = shared_from_this()] { self->leave(); });
    next();
  }

 private:
  void next() {
    const size_t number = verdicts_.size();
    if (number == conversations_.size()) return done_(std::move(verdicts_));
    auto judging = moderation_->judge(
        conversations_[number], client_,
        [self = shared_from_this()](const Verdict& verdict) { self->told(verdict); });
    const std::lock_guard lock(mutex_);
    if (gone_ && judging != nullptr) moderation_->cancel(*judging);
    // The verdict may be there by now, and the next one asked for.
    if (number < asked_) return;
    asked_ = number + 1;
    judging_ = std::move(judging);
  }
  void told(const Verdict& verdict) {
    verdicts_.push_back(verdict);
    if (verdict.error != nullptr) return done_(std::move(verdicts_));
    ++(verdict.safe ? counts_.safe : counts_.unsafe);
    next();
  }
  void leave() {
    const std::lock_guard lock(mutex_);
    gone_ = true;
    if (judging_ != nullptr) moderation_->cancel(*judging_);
  }

  ModerationPtr moderation_;
  std::string client_;
  std::vector<Dialog> conversations_;
  Moderation::Counts& counts_;  // of moderation_
  Done done_;
  std::vector<Verdict> verdicts_;
  std::mutex mutex_;  // of what is below
  bool gone_ = false;
  size_t asked_ = 0;
  std::shared_ptr<Moderator::Handle> judging_;
};

ApiError refusal_of(const Verdict& verdict) {
  const std::string why = verdict.categories.empty() ? "" : str(" (", verdict.categories, ")");
  return {400, str("the guard model holds this message for unsafe", why), "", "content_filter"};
}

/// Keeps an answer until it is judged.
class HeldAnswer : public AnswerWriter, public std::enable_shared_from_this<HeldAnswer> {
 public:
  HeldAnswer(ModerationPtr moderation, const Call& call, std::vector<Dialog> conversations,
             int64_t choices, std::shared_ptr<AnswerWriter> writer)
      : moderation_(std::move(moderation)),
        responder_(call.responder),
        client_(call.client),
        ended_(call.ended),
        conversations_(std::move(conversations)),
        choices_of_each_(choices),
        writer_(std::move(writer)) {}

  void prompt(int64_t first_choice, const engine::PromptResult& result) override {
    writer_->prompt(first_choice, result);
  }
  void step(int64_t choice, const engine::Step& step) override {
    Held& held = held_[choice];
    held.text += step.text;
    held.steps.push_back(step);
  }
  void finished(int64_t choice, engine::FinishReason reason) override {
    held_[choice].reason = reason;
  }
  void ended(const Usage& usage) override {
    std::vector<Dialog> answered;
    for (const auto& [choice, held] : held_) {
      answered.push_back(conversations_[static_cast<size_t>(choice / choices_of_each_)]);
      answered.back().push_back(text::text_message("assistant", held.text));
    }
    std::make_shared<Round>(moderation_, client_, std::move(answered), moderation_->answers,
                            [self = shared_from_this(), usage](const std::vector<Verdict>& all) {
                              self->release(all, usage);
                            })
        ->start(responder_);
  }
  void failed(const ApiError& error) override { writer_->failed(error); }

 private:
  struct Held {
    std::string text;
    std::vector<engine::Step> steps;
    engine::FinishReason reason = engine::FinishReason::kLength;
  };

  void release(const std::vector<Verdict>& verdicts, const Usage& usage) {
    if (!verdicts.empty() && verdicts.back().error != nullptr) {
      writer_->failed(*verdicts.back().error);
      return ended_(verdicts.back().error->status(), usage);
    }
    auto verdict = verdicts.begin();
    for (const auto& [choice, held] : held_) {
      const bool safe = (verdict++)->safe;
      if (safe) {
        for (const engine::Step& step : held.steps) writer_->step(choice, step);
      }
      writer_->finished(choice, safe ? held.reason : engine::FinishReason::kWithheld);
    }
    writer_->ended(usage);
    ended_(200, usage);
  }

  ModerationPtr moderation_;
  ResponderPtr responder_;
  std::string client_;
  Ended ended_;
  std::vector<Dialog> conversations_;
  int64_t choices_of_each_;
  std::shared_ptr<AnswerWriter> writer_;
  std::map<int64_t, Held> held_;
};

/// A request between its question and its answer.
struct Pending {
  ModerationPtr moderation;
  Call call;
  std::vector<Dialog> conversations;
  Lease model;
  std::vector<engine::Request> requests;
  std::shared_ptr<AnswerWriter> writer;

  void begin() {
    if (!moderation->judges_answers) {
      return answer(model, std::move(requests), writer, call.responder, call.ended);
    }
    const int64_t choices = requests.front().choices;
    auto held =
        std::make_shared<HeldAnswer>(moderation, call, std::move(conversations), choices, writer);
    // An answer that is whole has its end told by who holds it.
    const auto ended = [told = call.ended](int status, const Usage& usage) {
      if (status != 200) told(status, usage);
    };
    answer(model, std::move(requests), std::move(held), call.responder, ended);
  }
  void fail(const ApiError& error) const {
    writer->failed(error);
    call.ended(error.status(), {});
  }
  void decide(const std::vector<Verdict>& verdicts) {
    for (const Verdict& verdict : verdicts) {
      if (verdict.error != nullptr) return fail(*verdict.error);
      if (!verdict.safe) return fail(refusal_of(verdict));
    }
    try {
      begin();
    } catch (const ApiError& error) {
      fail(error);
    }
  }
};

}  // namespace

std::shared_ptr<Moderator::Handle> Moderation::judge(const Dialog& conversation,
                                                     const std::string& client,
                                                     Moderator::Told told) {
  {
    const std::lock_guard lock(mutex_);
    if (moderator_ != nullptr) return moderator_->judge(conversation, client, std::move(told));
  }
  told({.safe = false, .error = std::make_shared<ApiError>(503, "the server is shutting down")});
  return nullptr;
}

void Moderation::cancel(Moderator::Handle& judging) {
  const std::lock_guard lock(mutex_);
  if (moderator_ != nullptr) moderator_->cancel(judging);
}

void Moderation::close() {
  std::unique_ptr<Moderator> closed;  // ends without the lock: what it tells may come back here
  {
    const std::lock_guard lock(mutex_);
    closed.swap(moderator_);
  }
}

void answer_moderated(const ModerationPtr& moderation, const Call& call,
                      std::vector<Dialog> conversations, const Lease& model,
                      std::vector<engine::Request> requests, std::shared_ptr<AnswerWriter> writer) {
  if (moderation == nullptr) {
    return answer(model, std::move(requests), std::move(writer), call.responder, call.ended);
  }
  const auto pending = std::make_shared<Pending>(Pending{
      moderation, call, std::move(conversations), model, std::move(requests), std::move(writer)});
  if (!moderation->judges_questions) return pending->begin();
  std::make_shared<Round>(
      moderation, call.client, pending->conversations, moderation->questions,
      [pending](const std::vector<Verdict>& verdicts) { pending->decide(verdicts); })
      ->start(call.responder);
}

}  // namespace corral::serve
