#pragma once

#include <string_view>
#include <vector>

#include "text/chat.h"

namespace corral::text {

/// Calls in an answer without header and end mark, and where they begin.
struct FoundCalls {
  std::vector<ToolCall> calls = {};  // none: the answer is text
  size_t begin = 0;                  // the byte at which the first call begins
  bool only_ours = false;  // behind text, in a form that the reference takes for text then
};

/// Reads the calls of an answer; is_code: <|python_start|> came before it. In this order:
/// <function=NAME>{...} anywhere, as often as it comes; JSON objects or a [f(x=1)] list at the end
/// of the text; NAME.call(query="...") anywhere; all of it as code.
FoundCalls find_calls(std::string_view answer, bool is_code);

/// For an answer that is still being written: the first byte at or behind `from` that a call may
/// begin with, or its trailing spaces and end mark. Everything before it will stay text whatever
/// follows. `from` is 0 or what an earlier call for a shorter text returned, or less.
size_t certain_text_end(std::string_view answer, size_t from);

/// The answer without the spaces at its end and its end mark, which is put into `reason`.
std::string_view without_end_mark(std::string_view answer, StopReason& reason);

}  // namespace corral::text
