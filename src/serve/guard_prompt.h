#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "text/chat.h"

namespace corral::serve {

/// What a guard model is asked about the last message of a conversation: a text with {conversation}
/// in it, and {role} (of that message: User, Agent, ...) any number of times.
class GuardPrompt {
 public:
  /// Asks in our own words for the hazards that Llama Guard knows (MLCommons' taxonomy, S1 to S14)
  /// and for "safe", or "unsafe" and a line of categories.
  GuardPrompt();
  /// The text of a file, such as the one that a guard model's card gives. Throws UsageError when
  /// {conversation} does not stand in it exactly once, IoError when it cannot be read.
  explicit GuardPrompt(const std::filesystem::path& file);

  /// No line of a message can pass for the beginning of another message or for the end of the
  /// conversation: such lines are quoted ("> User: ...").
  std::string write(std::span<const text::ChatMessage> conversation) const;

 private:
  void take(std::string_view text);

  std::string before_;
  std::string after_;
};

}  // namespace corral::serve
