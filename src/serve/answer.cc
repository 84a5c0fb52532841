#include "serve/answer.h"

#include <atomic>
#include <utility>

#include "serve/api_error.h"

namespace corral::serve {
namespace {

/// What the sinks of a request's prompts share.
struct Shared {
  std::shared_ptr<AnswerWriter> writer;
  Ended ended;
  std::mutex mutex;
  Usage usage;
  size_t open = 0;
  std::string error;
  bool late = false;
  bool cancelled = false;
  std::atomic<bool> gone{false};

  // Under the mutex, when the last prompt's answers have ended.
  void finish() {
    if (gone || cancelled) return ended(499, usage);
    if (!error.empty()) {
      writer->failed(500, error);
      return ended(500, usage);
    }
    if (late) {
      writer->failed(504, "the request took longer than its timeout");
      return ended(504, usage);
    }
    writer->ended(usage);
    ended(200, usage);
  }
};

class PromptSink : public engine::Sink {
 public:
  PromptSink(std::shared_ptr<Shared> shared, int64_t first_choice)
      : shared_(std::move(shared)), first_choice_(first_choice) {}

  void on_prompt(engine::PromptResult result) override {
    const std::lock_guard lock(shared_->mutex);
    shared_->usage.prompt_tokens += result.tokens;
    shared_->usage.cached_tokens += result.cached_tokens;
    shared_->writer->prompt(first_choice_, result);
  }
  void on_step(int64_t choice, engine::Step step) override {
    if (shared_->gone) throw Error("the client left");
    const std::lock_guard lock(shared_->mutex);
    shared_->writer->step(first_choice_ + choice, step);
  }
  void on_finish(int64_t choice, engine::FinishReason reason) override {
    const std::lock_guard lock(shared_->mutex);
    if (reason == engine::FinishReason::kDeadline) {
      shared_->late = true;
    } else if (reason == engine::FinishReason::kCancelled) {
      shared_->cancelled = true;
    } else if (reason != engine::FinishReason::kFailed) {
      shared_->writer->finished(first_choice_ + choice, reason);
    }
  }
  void on_end(const engine::Outcome& outcome) override {
    const std::lock_guard lock(shared_->mutex);
    shared_->usage.completion_tokens += outcome.answer_tokens;
    if (!outcome.error.empty()) shared_->error = outcome.error;
    if (--shared_->open == 0) shared_->finish();
  }

 private:
  std::shared_ptr<Shared> shared_;
  int64_t first_choice_;
};

}  // namespace

std::string sse_event(const std::string& data) { return "data: " + data + "\n\n"; }

void answer(engine::Engine& engine, std::vector<engine::Request> requests,
            std::shared_ptr<AnswerWriter> writer, const ResponderPtr& responder, Ended ended) {
  const auto shared = std::make_shared<Shared>();
  shared->writer = std::move(writer);
  shared->ended = std::move(ended);
  shared->open = requests.size();
  std::vector<int64_t> ids;
  const auto cancel = [&engine](const std::vector<int64_t>& which) {
    for (const int64_t id : which) engine.cancel(id);
  };
  int64_t first_choice = 0;
  try {
    for (engine::Request& request : requests) {
      request.sink = std::make_shared<PromptSink>(shared, first_choice);
      first_choice += request.choices;
      ids.push_back(engine.submit(std::move(request)));
    }
  } catch (const Error& error) {
    shared->gone = true;
    cancel(ids);
    if (dynamic_cast<const engine::Overloaded*>(&error) != nullptr) {
      throw ApiError(429, error.what());
    }
    throw ApiError(400, error.what());
  }
  responder->on_gone([shared, ids, cancel] {
    shared->gone = true;
    cancel(ids);
  });
}

}  // namespace corral::serve
