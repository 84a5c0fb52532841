#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace corral::engine {

/// A set of Unicode scalar values (so never a surrogate), as ranges.
class CharSet {
 public:
  struct Range {
    uint32_t low;
    uint32_t high;  // included
    bool operator==(const Range&) const = default;
  };

  CharSet() = default;
  static CharSet all();
  static CharSet one(uint32_t code_point) { return range(code_point, code_point); }
  /// Surrogates inside are left out, as is what lies above U+10FFFF.
  static CharSet range(uint32_t low, uint32_t high);
  /// The union of many ranges, which hold no surrogates.
  static CharSet of(std::vector<Range> ranges) { return CharSet(std::move(ranges)); }

  CharSet operator|(const CharSet& other) const;
  CharSet operator&(const CharSet& other) const;
  /// All scalar values that are not in the set.
  CharSet operator~() const;
  CharSet operator-(const CharSet& other) const { return *this & ~other; }
  bool operator==(const CharSet&) const = default;

  bool contains(uint32_t code_point) const;
  bool empty() const { return ranges_.empty(); }
  /// Sorted; between two neighbours at least one code point is missing.
  std::span<const Range> ranges() const& { return ranges_; }
  std::span<const Range> ranges() const&& = delete;  // would outlive them

 private:
  explicit CharSet(std::vector<Range> ranges);
  std::vector<Range> ranges_;
};

}  // namespace corral::engine
