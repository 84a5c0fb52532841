#include "engine/constraint/configurations.h"

#include <algorithm>

#include "base/error.h"

namespace corral::engine {

Configurations::Configurations(const Automaton& automaton)
    : automaton_(automaton), callers_(static_cast<size_t>(automaton.rules())) {
  const Return root{kTextEnd, kRoot};
  frames_.intern(std::span(&root, 1));
  enter({0, kTextEnd}, kRoot);
  start_ = close();
}

std::span<const Configurations::Thread> Configurations::threads(int32_t configuration) const {
  return configurations_.of(configuration).subspan(1);
}

size_t Configurations::bytes() const {
  return frames_.bytes() + configurations_.bytes() + flags_.size() * sizeof(Flags) +
         (steps_.size() + behind_.size()) * sizeof(int32_t);
}

int32_t Configurations::compute(int32_t configuration, uint8_t byte, size_t cell) {
  const auto from = threads(configuration);
  for (const Thread& thread : from) {
    for (const auto& edge : automaton_.byte_edges(thread.node)) {
      if (byte >= edge.low && byte <= edge.high) visit({edge.to, thread.frame});
    }
  }
  const int32_t to = open_.empty() ? kDead : close();
  steps_[cell] = to;
  return to;
}

int32_t Configurations::alone(std::span<const int32_t> nodes) {
  for (const int32_t node : nodes) found_.push_back({node, kRoot});
  return add(false);
}

int32_t Configurations::behind(int32_t frame) {
  const auto i = static_cast<size_t>(frame);
  if (i >= behind_.size()) behind_.resize(static_cast<size_t>(frames_.count()), kUnknown);
  if (behind_[i] != kUnknown) return behind_[i];
  for (const Return& back : frames_.of(frame)) {
    if (back.node == kTextEnd) {
      ends_ = true;
    } else {
      visit({back.node, back.frame});
    }
  }
  const int32_t configuration = close();
  behind_[i] = configuration;
  return configuration;
}

void Configurations::visit(Thread thread) {
  const uint64_t key = (static_cast<uint64_t>(static_cast<uint32_t>(thread.node)) << 32) |
                       static_cast<uint32_t>(thread.frame);
  if (!seen_.insert(key).second) return;
  if (seen_.size() > kMostThreads) {
    open_.clear();
    seen_.clear();
    found_.clear();
    for (const auto& [rank, rule] : entered_) callers_[static_cast<size_t>(rule)].clear();
    entered_.clear();
    ends_ = false;
    throw Error(str("the grammar is too ambiguous here: more than ", kMostThreads,
                    " ways to read the text so far"));
  }
  open_.push_back(thread);
}

void Configurations::enter(const Automaton::CallEdge& call, int32_t frame) {
  auto& callers = callers_[static_cast<size_t>(call.rule)];
  if (callers.empty()) {
    entered_.emplace_back(-automaton_.rank(call.rule), call.rule);
    std::push_heap(entered_.begin(), entered_.end());
  }
  if (call.to == kTextEnd) {
    callers.push_back({kTextEnd, kRoot});
  } else if (automaton_.is_only_end(call.to)) {
    // Nothing is left to do there but to return: return from here at once. So lists written with
    // recursion at their end need no deeper stack the longer they get.
    const auto entries = frames_.of(frame);
    callers.insert(callers.end(), entries.begin(), entries.end());
  } else {
    callers.push_back({call.to, frame});
  }
}

// A rule whose frame was made at this place of the text ends here only if it may be empty, and then
// the callers have gone on already: pops is false.
void Configurations::look_at(Thread thread, bool pops) {
  if (automaton_.reads_bytes(thread.node)) found_.push_back(thread);
  for (const int32_t to : automaton_.empty_edges(thread.node)) visit({to, thread.frame});
  for (const auto& call : automaton_.call_edges(thread.node)) {
    enter(call, thread.frame);
    if (automaton_.is_nullable(call.rule)) visit({call.to, thread.frame});
  }
  if (!pops || !automaton_.is_end(thread.node)) return;
  for (const Return& back : frames_.of(thread.frame)) {
    if (back.node == kTextEnd) {
      ends_ = true;
    } else {
      visit({back.node, back.frame});
    }
  }
}

// All that can be reached from the open threads without reading; then the rules that are entered
// here, callers before those they call, so that a frame knows all its callers when it is made.
int32_t Configurations::close() {
  const auto follow = [&](bool pops) {
    while (!open_.empty()) {
      const Thread thread = open_.back();
      open_.pop_back();
      look_at(thread, pops);
    }
  };
  follow(true);
  while (!entered_.empty()) {
    std::pop_heap(entered_.begin(), entered_.end());
    const int32_t rule = entered_.back().second;
    entered_.pop_back();
    auto& callers = callers_[static_cast<size_t>(rule)];
    std::sort(callers.begin(), callers.end());
    callers.erase(std::unique(callers.begin(), callers.end()), callers.end());
    const int32_t frame = frames_.intern(callers);
    if (rule == 0 && automaton_.is_nullable(0) && callers.front().node == kTextEnd) ends_ = true;
    callers.clear();
    visit({automaton_.start(rule), frame});
    follow(false);
  }
  return add(std::exchange(ends_, false));
}

int32_t Configurations::add(bool can_end) {
  seen_.clear();
  found_.push_back({kTextEnd, can_end ? 1 : 0});  // sorts in front
  std::sort(found_.begin(), found_.end());
  const int32_t id = configurations_.intern(found_);
  if (static_cast<size_t>(id) == flags_.size()) {
    flags_.push_back({can_end, found_.size() > 1});
    steps_.resize(steps_.size() + static_cast<size_t>(automaton_.byte_classes()), kUnknown);
  }
  found_.clear();
  return id;
}

int32_t Configurations::import_frame(const Configurations& other, int32_t frame,
                                     std::vector<int32_t>& known) {
  // Frames are made after those that they return to, so the stack of what is missing is finite.
  std::vector<int32_t> missing = {frame};
  while (!missing.empty()) {
    const int32_t next = missing.back();
    if (known[static_cast<size_t>(next)] != kUnknown) {
      missing.pop_back();
      continue;
    }
    std::vector<Return> mapped;
    const size_t before = missing.size();
    for (Return back : other.frames_.of(next)) {
      if (back.node != kTextEnd && known[static_cast<size_t>(back.frame)] == kUnknown) {
        missing.push_back(back.frame);
      } else if (back.node != kTextEnd) {
        back.frame = known[static_cast<size_t>(back.frame)];
      }
      mapped.push_back(back);
    }
    if (missing.size() > before) continue;
    missing.pop_back();
    std::sort(mapped.begin(), mapped.end());
    known[static_cast<size_t>(next)] = frames_.intern(mapped);
  }
  return known[static_cast<size_t>(frame)];
}

int32_t Configurations::import(const Configurations& other, int32_t configuration) {
  std::vector<int32_t> known(static_cast<size_t>(other.frames_.count()), kUnknown);
  known[kRoot] = kRoot;
  for (Thread thread : other.threads(configuration)) {
    if (known[static_cast<size_t>(thread.frame)] == kUnknown) {
      import_frame(other, thread.frame, known);
    }
    found_.push_back({thread.node, known[static_cast<size_t>(thread.frame)]});
  }
  return add(other.can_end(configuration));
}

}  // namespace corral::engine
