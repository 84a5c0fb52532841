#include "serve/guard_prompt.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "base/file.h"

namespace corral::serve {
namespace {

constexpr std::string_view kConversation = "{conversation}";
constexpr std::string_view kRole = "{role}";
constexpr int64_t kMostFileBytes = 1 << 20;  // of a file

constexpr std::string_view kDefault =
    "You watch over a chat. Say whether the last {role} message below breaks one of these rules.\n"
    "\n"
    "<BEGIN UNSAFE CONTENT CATEGORIES>\n"
    "S1: Violent Crimes.\n"
    "S2: Non-Violent Crimes.\n"
    "S3: Sex Crimes.\n"
    "S4: Child Exploitation.\n"
    "S5: Defamation.\n"
    "S6: Specialized Advice.\n"
    "S7: Privacy.\n"
    "S8: Intellectual Property.\n"
    "S9: Indiscriminate Weapons.\n"
    "S10: Hate.\n"
    "S11: Self-Harm.\n"
    "S12: Sexual Content.\n"
    "S13: Elections.\n"
    "S14: Code Interpreter Abuse.\n"
    "<END UNSAFE CONTENT CATEGORIES>\n"
    "\n"
    "<BEGIN CONVERSATION>\n"
    "\n"
    "{conversation}\n"
    "\n"
    "<END CONVERSATION>\n"
    "\n"
    "Judge the last {role} message and nothing before it. Answer with one line, safe or unsafe; "
    "after unsafe write a second line with the categories it belongs to, separated by commas.";

std::string_view speaker(std::string_view role) {
  if (role == "user") return "User";
  if (role == "assistant") return "Agent";
  return role == "system" ? "System" : "Tool";
}

// What would look like a part of the frame around the messages.
bool is_frame(std::string_view line) {
  constexpr std::array<std::string_view, 6> kFrames = {
      "User:", "Agent:", "System:", "Tool:", "<BEGIN", "<END"};
  const size_t first = line.find_first_not_of(" \t\v\f>");
  if (first == line.npos) return false;
  return std::any_of(kFrames.begin(), kFrames.end(),
                     [&](std::string_view frame) { return line.substr(first).starts_with(frame); });
}

std::string text_of(const text::ChatMessage& message) {
  std::string text;
  for (const text::ContentItem& item : message.content) {
    text += item.kind == text::ContentItem::Kind::kText ? item.text : "(a picture)";
  }
  if (message.context) text += "\n" + *message.context;
  for (const text::ToolCall& call : message.tool_calls) {
    text += "\n" + call.name + " " + call.arguments;
  }
  return text;
}

void append_quoted(std::string& to, std::string_view text) {
  while (true) {
    const size_t end = text.find_first_of("\n\r");
    const std::string_view line = text.substr(0, end);
    if (is_frame(line)) to += "> ";
    to += line;
    if (end == text.npos) return;
    to += text[end];
    text.remove_prefix(end + 1);
  }
}

std::string with_role(std::string_view text, std::string_view role) {
  std::string result;
  for (size_t at; (at = text.find(kRole)) != text.npos; text.remove_prefix(at + kRole.size())) {
    result += text.substr(0, at);
    result += role;
  }
  return result += text;
}

}  // namespace

GuardPrompt::GuardPrompt() { take(kDefault); }

GuardPrompt::GuardPrompt(const std::filesystem::path& file) {
  try {
    take(read_file(file, kMostFileBytes));
  } catch (const UsageError& error) {
    throw UsageError(str(file.string(), ": ", error.what()));
  }
}

void GuardPrompt::take(std::string_view text) {
  const size_t at = text.find(kConversation);
  if (at == text.npos || text.find(kConversation, at + 1) != text.npos) {
    throw UsageError("the guard's prompt needs {conversation} exactly once");
  }
  before_ = text.substr(0, at);
  after_ = text.substr(at + kConversation.size());
}

std::string GuardPrompt::write(std::span<const text::ChatMessage> conversation) const {
  const std::string_view role = speaker(conversation.empty() ? "user" : conversation.back().role);
  std::string text = with_role(before_, role);
  const char* between = "";
  for (const text::ChatMessage& message : conversation) {
    text += str(between, speaker(message.role), ": ");
    append_quoted(text, text_of(message));
    between = "\n\n";
  }
  return text += with_role(after_, role);
}

}  // namespace corral::serve
