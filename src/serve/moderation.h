#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "serve/answer.h"
#include "serve/api_error.h"
#include "text/chat.h"

namespace corral::serve {

struct Call;

using Dialog = std::vector<text::ChatMessage>;

/// What a moderator says of the last message of a conversation.
struct Verdict {
  bool safe = true;
  std::string categories = {};           // of an unsafe one, like "S1,S10"; may be empty
  std::shared_ptr<ApiError> error = {};  // there is no verdict, and this is why
};

/// Judges what people ask before it is answered, and answers before they are sent. Thread-safe.
class Moderator {
 public:
  using Told = std::function<void(const Verdict& verdict)>;
  /// A judging that goes on.
  struct Handle {
    virtual ~Handle() = default;
  };
  virtual ~Moderator() = default;
  /// Judges the last message and calls `told` once, later, on some thread (with a status of 499
  /// after cancel()). Never blocks or throws. client: who asks, for fair turns.
  virtual std::shared_ptr<Handle> judge(const Dialog& conversation, const std::string& client,
                                        Told told) = 0;
  /// Nobody waits for this verdict any longer.
  virtual void cancel(Handle& judging) = 0;
};

/// A moderator and what it is there for. Shared with requests that end after their server: from
/// close() on there are no verdicts.
class Moderation {
 public:
  struct Counts {
    std::atomic<int64_t> safe{0};
    std::atomic<int64_t> unsafe{0};
  };

  Moderation(std::unique_ptr<Moderator> moderator, bool of_questions, bool of_answers)
      : judges_questions(of_questions),
        judges_answers(of_answers),
        moderator_(std::move(moderator)) {}

  /// As the moderator's; null when it is closed, after telling so.
  std::shared_ptr<Moderator::Handle> judge(const Dialog& conversation, const std::string& client,
                                           Moderator::Told told);
  void cancel(Moderator::Handle& judging);
  void close();

  const bool judges_questions;
  const bool judges_answers;
  Counts questions;
  Counts answers;

 private:
  std::mutex mutex_;
  std::unique_ptr<Moderator> moderator_;
};

using ModerationPtr = std::shared_ptr<Moderation>;

/// As answer(), under moderation (null: none): a question that is unsafe is refused with 400, code
/// "content_filter"; an answer is held back until it is whole and judged, and an unsafe one is
/// replaced by nothing, with FinishReason::kWithheld. Without a verdict nothing is said: 503.
/// conversations: of each request what it asks, to be judged by its last message.
void answer_moderated(const ModerationPtr& moderation, const Call& call,
                      std::vector<Dialog> conversations, const Lease& model,
                      std::vector<engine::Request> requests, std::shared_ptr<AnswerWriter> writer);

}  // namespace corral::serve
