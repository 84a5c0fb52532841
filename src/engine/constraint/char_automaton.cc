#include "engine/constraint/char_automaton.h"

#include <algorithm>
#include <map>
#include <utility>

#include "base/error.h"
#include "text/unicode.h"

namespace corral::engine {
namespace {

using Assertion = CharNfa::Assertion;

constexpr uint32_t kBehindLast = 0x110000;

/// Sets of states of an NFA, as sorted lists.
using StateSet = std::vector<int>;

/// Follows the edges that read nothing; remembers what it has seen by the number of the visit, so
/// that a visit costs what it finds and not the size of the automaton.
class Closure {
 public:
  explicit Closure(const CharNfa& nfa) : nfa_(nfa), seen_(nfa.states().size(), 0) {}

  StateSet of(StateSet set, bool at_begin, bool at_end) {
    ++visit_;
    StateSet open = set;
    for (const int state : set) seen_[static_cast<size_t>(state)] = visit_;
    while (!open.empty()) {
      const int state = open.back();
      open.pop_back();
      for (const auto& jump : nfa_.states()[static_cast<size_t>(state)].jumps) {
        if (jump.assertion == Assertion::kAtBegin && !at_begin) continue;
        if (jump.assertion == Assertion::kAtEnd && !at_end) continue;
        if (std::exchange(seen_[static_cast<size_t>(jump.to)], visit_) == visit_) continue;
        set.push_back(jump.to);
        open.push_back(jump.to);
      }
    }
    std::sort(set.begin(), set.end());
    return set;
  }

  bool accepts(const StateSet& set, bool at_begin) {
    const StateSet last = of(set, at_begin, true);
    return std::any_of(last.begin(), last.end(), [&](int state) {
      return nfa_.states()[static_cast<size_t>(state)].accepts;
    });
  }

 private:
  const CharNfa& nfa_;
  std::vector<uint64_t> seen_;
  uint64_t visit_ = 0;
};

/// The ranges between which the same steps apply, with the states that they lead to.
struct Slice {
  uint32_t low;
  uint32_t high;
  StateSet to;
};

void check_states(size_t states, size_t arcs) {
  if (states <= CharDfa::kMostStates && arcs <= CharDfa::kMostArcs) return;
  throw UsageError(str("the pattern needs more than ", CharDfa::kMostStates, " states or ",
                       CharDfa::kMostArcs, " transitions: bound its repetitions more tightly"));
}

/// Hostile patterns have few states with very large sets: they are as bad as many states.
class Work {
 public:
  void add(size_t members) {
    members_ += members;
    check_states(members_ / kOfAState, 0);
  }

 private:
  static constexpr size_t kOfAState = 100;
  size_t members_ = 0;
};

std::vector<Slice> slices(const CharNfa& nfa, const StateSet& set, Work& work) {
  struct Border {
    uint32_t at;
    bool begins;
    int to;
  };
  std::vector<Border> borders;
  for (const int state : set) {
    for (const auto& step : nfa.states()[static_cast<size_t>(state)].steps) {
      for (const auto& range : step.set.ranges()) {
        borders.push_back({range.low, true, step.to});
        borders.push_back({range.high + 1, false, step.to});
      }
    }
  }
  std::sort(borders.begin(), borders.end(),
            [](const Border& a, const Border& b) { return a.at < b.at; });
  std::vector<Slice> result;
  std::map<int, int> active;  // how many ranges lead there
  for (size_t i = 0; i < borders.size();) {
    const uint32_t at = borders[i].at;
    for (; i < borders.size() && borders[i].at == at; ++i) {
      int& count = active[borders[i].to];
      count += borders[i].begins ? 1 : -1;
      if (count == 0) active.erase(borders[i].to);
    }
    if (active.empty() || i == borders.size()) continue;
    work.add(active.size());
    Slice slice{at, borders[i].at - 1, {}};
    for (const auto& [to, count] : active) slice.to.push_back(to);
    result.push_back(std::move(slice));
  }
  return result;
}

void add_arc(CharDfa::State& state, CharDfa::Arc arc) {
  if (!state.arcs.empty() && state.arcs.back().to == arc.to &&
      state.arcs.back().high + 1 == arc.low) {
    state.arcs.back().high = arc.high;
  } else {
    state.arcs.push_back(arc);
  }
}

}  // namespace

int CharNfa::add_state() {
  if (states_.size() >= static_cast<size_t>(kMostStates)) {
    throw UsageError(str("the pattern needs more than ", kMostStates,
                         " states: bound its repetitions more tightly"));
  }
  states_.emplace_back();
  return static_cast<int>(states_.size()) - 1;
}

void CharNfa::add_step(int from, CharSet set, int to) {
  states_[static_cast<size_t>(from)].steps.push_back({std::move(set), to});
}

void CharNfa::add_jump(int from, int to, Assertion assertion) {
  states_[static_cast<size_t>(from)].jumps.push_back({assertion, to});
}

int CharNfa::add_text(int from, std::string_view utf8) {
  for (size_t at = 0; at < utf8.size();) {
    const size_t bytes = text::utf8_char_bytes(utf8, at);
    if (bytes == 0) throw UsageError("a text of the grammar is not valid UTF-8");
    const int next = add_state();
    add_step(from, CharSet::one(text::utf8_code_point(utf8, at, bytes)), next);
    from = next;
    at += bytes;
  }
  return from;
}

CharDfa::CharDfa(const CharNfa& nfa) {
  std::map<StateSet, int> numbers;
  std::vector<StateSet> sets;
  const auto number = [&](StateSet set) {
    const auto [entry, is_new] = numbers.try_emplace(std::move(set), static_cast<int>(sets.size()));
    if (is_new) sets.push_back(entry->first);
    return entry->second;
  };
  Closure closure(nfa);
  // The first state is a set of its own even if a later one is equal: only there the text begins.
  sets.push_back(closure.of({0}, true, false));
  size_t arcs = 0;
  Work work;
  for (size_t i = 0; i < sets.size(); ++i) {
    const StateSet set = sets[i];
    states_.emplace_back();
    states_.back().accepts = closure.accepts(set, i == 0);
    for (Slice& slice : slices(nfa, set, work)) {
      const int to = number(closure.of(std::move(slice.to), false, false));
      add_arc(states_.back(), {slice.low, slice.high, to});
    }
    arcs += states_.back().arcs.size();
    work.add(set.size());
    check_states(sets.size(), arcs);
  }
  drop_dead();
}

CharDfa CharDfa::repeat(const CharSet& set, int64_t min, int64_t max) {
  CharDfa dfa;
  const int64_t last = std::max(min, max);
  check_states(static_cast<size_t>(last) + 1, 0);
  for (int64_t count = 0; count <= last; ++count) {
    State state{.accepts = count >= min};
    const bool goes_on = count < last || max < 0;
    for (const auto& range : set.ranges()) {
      if (goes_on) {
        state.arcs.push_back({range.low, range.high, static_cast<int>(std::min(count + 1, last))});
      }
    }
    dfa.states_.push_back(std::move(state));
  }
  dfa.drop_dead();
  return dfa;
}

CharDfa CharDfa::texts(const std::vector<std::string>& texts) {
  CharNfa nfa;
  const int start = nfa.add_state();
  for (const std::string& text : texts) nfa.accept(nfa.add_text(start, text));
  return CharDfa(nfa);
}

CharDfa CharDfa::operator&(const CharDfa& other) const {
  CharDfa product;
  if (states_.empty() || other.states_.empty()) return product;
  std::map<std::pair<int, int>, int> numbers;
  std::vector<std::pair<int, int>> pairs;
  const auto number = [&](std::pair<int, int> pair) {
    const auto [entry, is_new] = numbers.try_emplace(pair, static_cast<int>(pairs.size()));
    if (is_new) pairs.push_back(pair);
    return entry->second;
  };
  number({0, 0});
  size_t arcs = 0;
  for (size_t n = 0; n < pairs.size(); ++n) {
    const State& a = states_[static_cast<size_t>(pairs[n].first)];
    const State& b = other.states_[static_cast<size_t>(pairs[n].second)];
    State state{.accepts = a.accepts && b.accepts};
    for (size_t i = 0, j = 0; i < a.arcs.size() && j < b.arcs.size();) {
      const uint32_t low = std::max(a.arcs[i].low, b.arcs[j].low);
      const uint32_t high = std::min(a.arcs[i].high, b.arcs[j].high);
      if (low <= high) add_arc(state, {low, high, number({a.arcs[i].to, b.arcs[j].to})});
      a.arcs[i].high < b.arcs[j].high ? ++i : ++j;
    }
    arcs += state.arcs.size();
    product.states_.push_back(std::move(state));
    check_states(pairs.size(), arcs);
  }
  product.drop_dead();
  return product;
}

CharDfa CharDfa::operator~() const {
  CharDfa result;
  result.states_ = states_;
  if (result.states_.empty()) result.states_.emplace_back();
  const auto sink = static_cast<int>(result.states_.size());
  result.states_.emplace_back();
  for (State& state : result.states_) {
    state.accepts = !state.accepts;
    std::vector<Arc> all;
    uint32_t next = 0;
    const auto fill = [&](uint32_t end) {
      if (end == next) return;
      const CharSet gap = CharSet::range(next, end - 1);
      for (const auto& range : gap.ranges()) all.push_back({range.low, range.high, sink});
    };
    for (const Arc& arc : state.arcs) {
      fill(arc.low);
      all.push_back(arc);
      next = arc.high + 1;
    }
    fill(kBehindLast);
    state.arcs = std::move(all);
  }
  result.drop_dead();
  return result;
}

bool CharDfa::empty() const { return states_.empty(); }

int CharDfa::step(int state, uint32_t code_point) const {
  const auto& arcs = states_[static_cast<size_t>(state)].arcs;
  const auto after =
      std::upper_bound(arcs.begin(), arcs.end(), code_point,
                       [](uint32_t value, const Arc& arc) { return value < arc.low; });
  if (after == arcs.begin() || code_point > std::prev(after)->high) return -1;
  return std::prev(after)->to;
}

bool CharDfa::contains(std::string_view utf8) const {
  if (states_.empty()) return false;
  int state = 0;
  for (size_t at = 0; at < utf8.size();) {
    const size_t bytes = text::utf8_char_bytes(utf8, at);
    if (bytes == 0) return false;
    state = step(state, text::utf8_code_point(utf8, at, bytes));
    if (state < 0) return false;
    at += bytes;
  }
  return states_[static_cast<size_t>(state)].accepts;
}

// Removes what nothing accepted can be reached from, and what cannot be reached.
void CharDfa::drop_dead() {
  std::vector<std::vector<int>> before(states_.size());
  std::vector<int> open;
  std::vector<char> alive(states_.size(), 0);
  for (size_t i = 0; i < states_.size(); ++i) {
    for (const Arc& arc : states_[i].arcs) {
      before[static_cast<size_t>(arc.to)].push_back(static_cast<int>(i));
    }
    if (!states_[i].accepts) continue;
    alive[i] = 1;
    open.push_back(static_cast<int>(i));
  }
  while (!open.empty()) {
    const auto state = static_cast<size_t>(open.back());
    open.pop_back();
    for (const int from : before[state]) {
      if (std::exchange(alive[static_cast<size_t>(from)], 1) == 0) open.push_back(from);
    }
  }
  if (states_.empty() || alive[0] == 0) {
    states_.clear();
    return;
  }
  std::vector<int> number(states_.size(), -1);
  int next = 0;
  for (size_t i = 0; i < states_.size(); ++i) {
    if (alive[i] != 0) number[i] = next++;
  }
  std::vector<State> kept;
  for (size_t i = 0; i < states_.size(); ++i) {
    if (alive[i] == 0) continue;
    State state{.accepts = states_[i].accepts};
    for (Arc arc : states_[i].arcs) {
      arc.to = number[static_cast<size_t>(arc.to)];
      if (arc.to >= 0) add_arc(state, arc);
    }
    kept.push_back(std::move(state));
  }
  states_ = std::move(kept);
}

}  // namespace corral::engine
