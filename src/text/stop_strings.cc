#include "text/stop_strings.h"

#include <algorithm>
#include <utility>

namespace corral::text {

StopStrings::StopStrings(std::vector<std::string> stops) : stops_(std::move(stops)) {
  stops_.erase(std::remove(stops_.begin(), stops_.end(), ""), stops_.end());
  std::stable_sort(stops_.begin(), stops_.end(),
                   [](const std::string& a, const std::string& b) { return a.size() > b.size(); });
}

/// Looks for the first stop string that ends after known_bytes; cuts held_ before it.
bool StopStrings::find_stop(size_t known_bytes) {
  for (size_t end = known_bytes + 1; end <= held_.size(); ++end) {
    const std::string_view head = std::string_view(held_).substr(0, end);
    for (const std::string& stop : stops_) {
      if (!head.ends_with(stop)) continue;
      found_ = stop;
      held_.resize(end - stop.size());
      return true;
    }
  }
  return false;
}

/// The longest end of held_ that begins a stop string.
size_t StopStrings::bytes_to_hold() const {
  size_t longest = 0;
  for (const std::string& stop : stops_) {
    for (size_t n = std::min(stop.size() - 1, held_.size()); n > longest; --n) {
      if (held_.ends_with(std::string_view(stop).substr(0, n))) longest = n;
    }
  }
  return longest;
}

std::string StopStrings::push(std::string_view text) {
  if (stopped_) return {};
  const size_t known_bytes = held_.size();
  held_ += text;
  if (find_stop(known_bytes)) {
    stopped_ = true;
    return std::exchange(held_, {});
  }
  const size_t certain = held_.size() - bytes_to_hold();
  std::string shown = held_.substr(0, certain);
  held_.erase(0, certain);
  return shown;
}

std::string StopStrings::finish() { return std::exchange(held_, {}); }

}  // namespace corral::text
