#pragma once

#include <memory>

#include "engine/constraint/constraint.h"
#include "serve/guard_prompt.h"
#include "serve/moderation.h"
#include "serve/service.h"
#include "serve/workers.h"
#include "text/chat.h"

namespace corral::serve {

/// A language model as moderator, as Llama Guard is one: it is shown the conversation and can say
/// nothing but "safe", or "unsafe" and categories. Pictures are not shown to it. A conversation
/// longer than its context loses its beginning; a last message that does not fit has no verdict.
class GuardModel : public Moderator {
 public:
  /// Throws UsageError when the model does not know the chat format.
  GuardModel(std::unique_ptr<Service> model, GuardPrompt prompt);

  std::shared_ptr<Handle> judge(const Dialog& conversation, const std::string& client,
                                Told told) override;
  void cancel(Handle& judging) override;

 private:
  class Judging;

  engine::Prompt prompt_of(const Dialog& conversation) const;

  std::unique_ptr<Service> model_;
  GuardPrompt prompt_;
  text::ChatFormat format_;
  std::shared_ptr<engine::Constraint> constraint_;
  Workers worker_;  // cuts conversations into tokens; last: it uses the others
};

/// "safe", or "unsafe" and perhaps a line of categories; anything else is no verdict.
Verdict read_verdict(const std::string& text);

}  // namespace corral::serve
