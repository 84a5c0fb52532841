#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace corral::text {

/// Watches a stream of text for stop strings. Text that could be the beginning of one is held back
/// until it is certain, so that nothing of a stop string is ever shown. How the text is cut into
/// pushes makes no difference to what is shown in all.
class StopStrings {
 public:
  /// Empty strings are ignored.
  explicit StopStrings(std::vector<std::string> stops);

  /// The text that is certain after `text`. As soon as one stop string is complete (of several that
  /// end at one place the longest), this is what came before it, and stopped() holds from then on;
  /// later text is dropped.
  std::string push(std::string_view text);
  /// The end without a stop string: what was held back.
  std::string finish();

  bool stopped() const { return stopped_; }
  /// The stop string that was found; empty before.
  const std::string& found() const { return found_; }

 private:
  bool find_stop(size_t known_bytes);
  size_t bytes_to_hold() const;

  std::vector<std::string> stops_;  // longest first
  std::string held_;
  bool stopped_ = false;
  std::string found_;
};

}  // namespace corral::text
