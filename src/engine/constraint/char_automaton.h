#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "engine/constraint/char_set.h"

namespace corral::engine {

/// A finite automaton over Unicode code points, under construction: edges may overlap and may be
/// empty. State 0 is the first.
class CharNfa {
 public:
  /// Edges that read nothing: always, only before the first character, only behind the last.
  enum class Assertion : uint8_t { kNone, kAtBegin, kAtEnd };
  /// Throws UsageError beyond this: a repetition of repetitions grows without end.
  static constexpr int kMostStates = 100'000;

  struct Step {
    CharSet set;
    int to;
  };
  struct Jump {
    Assertion assertion;
    int to;
  };
  struct State {
    std::vector<Step> steps = {};
    std::vector<Jump> jumps = {};
    bool accepts = false;
  };

  int add_state();
  void add_step(int from, CharSet set, int to);
  void add_jump(int from, int to, Assertion assertion = Assertion::kNone);
  /// The states that read exactly this UTF-8 text from `from` on; returns the last.
  int add_text(int from, std::string_view utf8);
  void accept(int state) { states_[static_cast<size_t>(state)].accepts = true; }

  const std::vector<State>& states() const { return states_; }

 private:
  std::vector<State> states_ = {};
};

/// A deterministic one: a set of texts. State 0 is the first; where no arc leads the text is
/// outside the set. From every state that is kept something accepted can be reached, unless the set
/// is empty. The operations throw UsageError when the result would have more than kMostStates.
class CharDfa {
 public:
  static constexpr size_t kMostStates = 20'000;
  static constexpr size_t kMostArcs = 400'000;

  struct Arc {
    uint32_t low;
    uint32_t high;
    int to;
  };
  struct State {
    bool accepts = false;
    std::vector<Arc> arcs = {};  // sorted, disjoint
  };

  explicit CharDfa(const CharNfa& nfa);
  /// min to max (-1: any number) characters of a set.
  static CharDfa repeat(const CharSet& set, int64_t min, int64_t max);
  /// Exactly these texts.
  static CharDfa texts(const std::vector<std::string>& texts);

  CharDfa operator&(const CharDfa& other) const;
  /// All texts that are not in the set.
  CharDfa operator~() const;

  bool empty() const;
  bool contains(std::string_view utf8) const;
  const std::vector<State>& states() const { return states_; }

 private:
  CharDfa() = default;
  int step(int state, uint32_t code_point) const;
  void drop_dead();

  std::vector<State> states_ = {};
};

}  // namespace corral::engine
