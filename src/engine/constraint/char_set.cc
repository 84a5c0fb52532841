#include "engine/constraint/char_set.h"

#include <algorithm>
#include <utility>

namespace corral::engine {
namespace {

constexpr uint32_t kLast = 0x10FFFF;
constexpr uint32_t kFirstSurrogate = 0xD800;
constexpr uint32_t kLastSurrogate = 0xDFFF;

}  // namespace

CharSet::CharSet(std::vector<Range> ranges) {
  std::sort(ranges.begin(), ranges.end(),
            [](const Range& a, const Range& b) { return a.low < b.low; });
  for (const Range& range : ranges) {
    if (!ranges_.empty() && range.low <= ranges_.back().high + 1) {
      ranges_.back().high = std::max(ranges_.back().high, range.high);
    } else {
      ranges_.push_back(range);
    }
  }
}

CharSet CharSet::all() { return range(0, kLast); }

CharSet CharSet::range(uint32_t low, uint32_t high) {
  std::vector<Range> ranges;
  high = std::min(high, kLast);
  if (low < kFirstSurrogate && low <= high) {
    ranges.push_back({low, std::min(high, kFirstSurrogate - 1)});
  }
  if (high > kLastSurrogate && low <= high) {
    ranges.push_back({std::max(low, kLastSurrogate + 1), high});
  }
  return CharSet(std::move(ranges));
}

CharSet CharSet::operator|(const CharSet& other) const {
  std::vector<Range> ranges = ranges_;
  ranges.insert(ranges.end(), other.ranges_.begin(), other.ranges_.end());
  return CharSet(std::move(ranges));
}

CharSet CharSet::operator&(const CharSet& other) const {
  CharSet result;
  size_t i = 0;
  size_t j = 0;
  while (i < ranges_.size() && j < other.ranges_.size()) {
    const Range& a = ranges_[i];
    const Range& b = other.ranges_[j];
    const uint32_t low = std::max(a.low, b.low);
    const uint32_t high = std::min(a.high, b.high);
    if (low <= high) result.ranges_.push_back({low, high});
    if (a.high < b.high) {
      ++i;
    } else {
      ++j;
    }
  }
  return result;
}

CharSet CharSet::operator~() const {
  CharSet gaps;
  uint32_t next = 0;
  for (const Range& range : ranges_) {
    if (range.low > next) gaps.ranges_.push_back({next, range.low - 1});
    next = range.high + 1;
  }
  if (next <= kLast) gaps.ranges_.push_back({next, kLast});
  return gaps & all();
}

bool CharSet::contains(uint32_t code_point) const {
  const auto after =
      std::upper_bound(ranges_.begin(), ranges_.end(), code_point,
                       [](uint32_t value, const Range& range) { return value < range.low; });
  return after != ranges_.begin() && code_point <= std::prev(after)->high;
}

}  // namespace corral::engine
