#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "text/chat.h"
#include "text/python_json.h"

namespace corral::text {

inline constexpr std::string_view kSpace = " \t\r\n";

/// Removes the first bytes of `text` that are among `characters`.
void skip(std::string_view& text, std::string_view characters);

/// The JSON object at the beginning of `text`; moves `text` behind it. Falls back on a Python dict.
std::optional<OrderedJson> take_object(std::string_view& text);

ToolCall make_call(std::string name, const OrderedJson& arguments);

/// Calls written as JSON objects in a row, or as one array of them, that end a text. Beginnings are
/// to be tried from left to right. What is found out about a row holds for the rows that begin at
/// its other objects: all of them together cost one reading.
class JsonCallRows {
 public:
  /// The text must outlive it.
  explicit JsonCallRows(std::string_view text) : text_(text) {}

  /// The row from byte `at` to the end of the text; empty: there is something else in it.
  std::vector<ToolCall> calls(size_t at);
  /// What calls() may still find once the text has grown.
  bool may_become_calls(size_t at);

 private:
  std::string_view text_;
  std::unordered_set<size_t> without_calls_;     // objects with which no row of calls begins
  std::unordered_map<size_t, bool> may_become_;  // by the object that a row begins with
};

}  // namespace corral::text
