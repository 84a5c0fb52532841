#include <algorithm>
#include <utility>

#include "text/assistant_stream.h"
#include "text/call_finder.h"
#include "text/chat.h"

namespace corral::text {
namespace {

constexpr std::string_view kHeader = "<|header_start|>assistant<|header_end|>\n\n";

}  // namespace

ParsedAnswer parse_assistant(std::string_view answer, StopReason if_unmarked) {
  answer.remove_prefix(std::min(answer.find_first_not_of(' '), answer.size()));
  answer = answer.substr(0, answer.find_last_not_of(' ') + 1);
  if (answer.starts_with(kHeader)) answer.remove_prefix(kHeader.size());
  const bool is_code = answer.starts_with(special::kPythonStart);
  if (is_code) answer.remove_prefix(special::kPythonStart.size());

  ParsedAnswer parsed{.stop_reason = if_unmarked};
  answer = without_end_mark(answer, parsed.stop_reason);
  FoundCalls found = find_calls(answer, is_code);
  parsed.tool_calls = std::move(found.calls);
  if (parsed.tool_calls.empty()) {
    parsed.content = answer;
    return parsed;
  }
  parsed.text_before_calls = answer.substr(0, found.begin);
  if (found.only_ours) parsed.content = parsed.text_before_calls;
  return parsed;
}

std::string AssistantStream::push(std::string_view text) {
  answer_ += text;
  if (!find_body() || is_code_) return "";
  return show_until(body_ + certain_end());
}

/// Skips spaces, header and <|python_start|>. False: they may still be coming.
bool AssistantStream::find_body() {
  if (body_found_) return true;
  std::string_view rest = answer_;
  rest.remove_prefix(std::min(rest.find_first_not_of(' '), rest.size()));
  if (rest.starts_with(kHeader)) {
    rest.remove_prefix(kHeader.size());
  } else if (kHeader.starts_with(rest)) {
    return false;
  }
  is_code_ = rest.starts_with(special::kPythonStart);
  if (!is_code_ && special::kPythonStart.starts_with(rest)) return false;
  body_ = shown_ = answer_.size() - rest.size();
  body_found_ = true;
  return true;
}

/// A call that is not complete is read again only when it has grown by an eighth: the work stays
/// proportional to its length, however small the pieces are.
size_t AssistantStream::certain_end() {
  const std::string_view body = std::string_view(answer_).substr(body_);
  if (body.size() < next_look_) return shown_ - body_;
  const size_t end = certain_text_end(body, shown_ - body_);
  next_look_ = body.size() + (body.size() - end) / 8;
  return end;
}

std::string AssistantStream::show_until(size_t end) {
  const size_t begin = std::exchange(shown_, std::max(shown_, end));
  return answer_.substr(begin, shown_ - begin);
}

AssistantStream::End AssistantStream::finish(StopReason if_unmarked) {
  End end{.answer = parse_assistant(answer_, if_unmarked)};
  const ParsedAnswer& parsed = end.answer;
  const std::string& all = parsed.tool_calls.empty() ? parsed.content : parsed.text_before_calls;
  end.text = all.substr(std::min(shown_ - body_, all.size()));
  *this = {};
  return end;
}

}  // namespace corral::text
