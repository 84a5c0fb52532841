#pragma once

#include <string>
#include <string_view>

#include "text/chat.h"

namespace corral::text {

/// Reads an answer while it is being written: gives out text as soon as it is certain that it is no
/// part of a call, a header or an end mark. How the answer is cut into pushes makes no difference
/// to what is given out in all: the content of parse_assistant(), or its text_before_calls when
/// there are calls. Calls come whole, at the end: until then a list of calls may turn out to be
/// text. Cuts inside characters give such pieces back: put Utf8Stream in front.
class AssistantStream {
 public:
  /// The text that is certain after `text`.
  std::string push(std::string_view text);

  struct End {
    std::string text = {};  // what was held back and is text after all
    ParsedAnswer answer;    // parse_assistant() of everything
  };
  /// The answer is complete; the stream is empty again.
  End finish(StopReason if_unmarked = StopReason::kOutOfTokens);

 private:
  bool find_body();
  size_t certain_end();
  std::string show_until(size_t end);

  std::string answer_ = {};
  bool body_found_ = false;
  bool is_code_ = false;
  size_t body_ = 0;       // where the answer begins behind its header
  size_t shown_ = 0;      // up to here it was given out
  size_t next_look_ = 0;  // the size of the body at which it is looked at again
};

}  // namespace corral::text
