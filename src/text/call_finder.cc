#include "text/call_finder.h"

#include <algorithm>
#include <array>

#include "text/json_call_rows.h"
#include "text/python_json.h"
#include "text/python_literal.h"

namespace corral::text {
namespace {

using Calls = std::vector<ToolCall>;

constexpr std::string_view kFunctionTag = "<function=";
constexpr std::string_view kQueryCall = ".call(query=\"";
constexpr size_t kMaxNameBytes = 64;  // of a function, as in OpenAI's API

/// <function=NAME>{...}, anywhere in the text, as often as it comes.
FoundCalls function_tag_calls(std::string_view text) {
  FoundCalls found;
  found.begin = text.find(kFunctionTag);
  for (size_t at = found.begin; at != text.npos; at = text.find(kFunctionTag)) {
    text.remove_prefix(at + kFunctionTag.size());
    const size_t end = text.find(">{");
    if (end == text.npos) break;
    const std::string_view name = text.substr(0, end);
    if (name.empty() || name.find_first_of("}<\n") != name.npos) break;
    text.remove_prefix(end + 1);
    const auto arguments = take_object(text);
    if (!arguments) break;
    found.calls.push_back(make_call(std::string(name), *arguments));
  }
  return found;
}

Calls python_calls(std::string_view text) {
  auto parsed = parse_python_calls(text);
  // Models forget the last bracket; every call in it is complete.
  if (!parsed) parsed = parse_unclosed_python_calls(text);
  Calls calls;
  if (!parsed) return calls;
  for (const PythonCall& call : *parsed) calls.push_back(make_call(call.name, call.arguments));
  return calls;
}

/// May the text from `at` on become calls, as JSON or as a Python list?
bool may_become_calls(std::string_view text, size_t at, JsonCallRows& rows) {
  if (rows.may_become_calls(at)) return true;
  return text[at] == '[' && viability_of_calls(text.substr(at)) != Viability::kWrong;
}

/// Calls as JSON or as a Python list that end the text.
FoundCalls calls_at_end(std::string_view text) {
  JsonCallRows rows(text);
  for (size_t at = text.find_first_of("[{"); at != text.npos;
       at = text.find_first_of("[{", at + 1)) {
    if (!may_become_calls(text, at, rows)) continue;
    Calls calls = rows.calls(at);
    if (calls.empty() && text[at] == '[') calls = python_calls(text.substr(at));
    if (calls.empty()) continue;
    return {.calls = std::move(calls),
            .begin = at,
            .only_ours = text.substr(0, at).find_first_not_of(kSpace) != text.npos};
  }
  return {};
}

bool is_word_byte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/// The first NAME.call(query="...") anywhere in the text.
FoundCalls query_call(std::string_view text) {
  for (size_t at = text.find(kQueryCall); at != text.npos; at = text.find(kQueryCall, at + 1)) {
    size_t begin = at;
    while (begin > 0 && is_word_byte(text[begin - 1])) --begin;
    const size_t query = at + kQueryCall.size();
    const size_t end = text.find('"', query);
    const bool is_name = begin < at && at - begin <= kMaxNameBytes;
    if (!is_name || end == text.npos || !text.substr(end).starts_with("\")")) continue;
    OrderedJson arguments;
    arguments["query"] = std::string(text.substr(query, end - query));
    return {.calls = {{std::string(text.substr(begin, at - begin)), python_json(arguments)}},
            .begin = begin};
  }
  return {};
}

/// Is `text`, which begins with a word, perhaps the beginning of NAME.call(query="...")?
bool may_become_query_call(std::string_view text, size_t word_bytes) {
  if (word_bytes > kMaxNameBytes) return false;
  text.remove_prefix(word_bytes);
  if (!text.starts_with(kQueryCall)) return kQueryCall.starts_with(text);
  const size_t end = text.find('"', kQueryCall.size());
  return end == text.npos || std::string_view("\")").starts_with(text.substr(end, 2));
}

std::string without(std::string_view text, std::string_view part) {
  std::string kept;
  for (size_t at = text.find(part); at != text.npos; at = text.find(part)) {
    kept += text.substr(0, at);
    text.remove_prefix(at + part.size());
  }
  return kept.append(text);
}

FoundCalls calls_in_code(std::string_view answer) {
  // In transformers' form the calls follow the code.
  if (const size_t end = answer.find(special::kPythonEnd); end != answer.npos) {
    std::string_view rest = answer.substr(end + special::kPythonEnd.size());
    skip(rest, kSpace);
    if (rest.starts_with('{') || rest.starts_with('[')) {
      if (Calls calls = calls_at_end(rest).calls; !calls.empty())
        return {.calls = std::move(calls)};
    }
  }
  const std::string code = without(answer, special::kPythonEnd);
  std::string_view whole = code;
  skip(whole, kSpace);
  FoundCalls found = function_tag_calls(code);
  if (found.calls.empty() && !whole.empty()) {
    found.calls = JsonCallRows(whole).calls(0);
    if (found.calls.empty()) found.calls = python_calls(whole);
    if (found.calls.empty()) found = query_call(code);
  }
  if (found.calls.empty()) {
    OrderedJson arguments;
    arguments["code"] = code;
    found.calls = {{"code_interpreter", python_json(arguments)}};
  }
  found.begin = 0;
  return found;
}

/// The beginning of an end mark (or all of it) and the spaces around it at the end of the text.
size_t possible_mark_begin(std::string_view text) {
  const size_t last = text.find_last_not_of(' ');
  if (last == text.npos) return 0;
  size_t begin = last + 1;
  for (const std::string_view mark : {special::kEndOfTurn, special::kEndOfMessage}) {
    for (size_t bytes = 1; bytes <= std::min(mark.size(), last + 1); ++bytes) {
      if (bytes < mark.size() && last + 1 != text.size()) continue;  // spaces after half a mark
      if (text.substr(last + 1 - bytes, bytes) == mark.substr(0, bytes)) {
        begin = std::min(begin, last + 1 - bytes);
      }
    }
  }
  while (begin > 0 && text[begin - 1] == ' ') --begin;
  return begin;
}

}  // namespace

FoundCalls find_calls(std::string_view answer, bool is_code) {
  if (is_code) return calls_in_code(answer);
  for (const auto find : {function_tag_calls, calls_at_end, query_call}) {
    FoundCalls found = find(answer);
    if (!found.calls.empty()) return found;
  }
  return {};
}

size_t certain_text_end(std::string_view answer, size_t from) {
  const size_t mark = possible_mark_begin(answer);
  const std::string_view body = answer.substr(0, mark);
  JsonCallRows rows(body);
  size_t at = std::min(from, mark);
  while (at < mark) {
    const std::string_view rest = body.substr(at);
    size_t word_bytes = 0;
    while (word_bytes < rest.size() && is_word_byte(rest[word_bytes])) ++word_bytes;
    if (word_bytes > 0) {
      if (may_become_query_call(answer.substr(at), word_bytes)) return at;
      at += word_bytes;
      continue;
    }
    const char c = rest[0];
    if (c == '<' && (rest.starts_with(kFunctionTag) || kFunctionTag.starts_with(rest))) return at;
    if ((c == '[' || c == '{') && may_become_calls(body, at, rows)) return at;
    ++at;
  }
  return mark;
}

std::string_view without_end_mark(std::string_view answer, StopReason& reason) {
  answer = answer.substr(0, answer.find_last_not_of(' ') + 1);
  for (const auto& [mark, meaning] :
       {std::pair{special::kEndOfTurn, StopReason::kEndOfTurn},
        std::pair{special::kEndOfMessage, StopReason::kEndOfMessage}}) {
    if (!answer.ends_with(mark)) continue;
    reason = meaning;
    return answer.substr(0, answer.size() - mark.size());
  }
  return answer;
}

}  // namespace corral::text
