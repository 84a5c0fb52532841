#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace corral::serve {

/// What the clients of a model last had answered, so that it can be saved: the identities of the
/// tokens of the last request of each slot. A slot is a number that a client chooses (id_slot);
/// other clients have slots of their own. What was answered longest ago is forgotten beyond
/// so many tokens of all slots together. Thread-safe.
class Slots {
 public:
  using Identities = std::vector<uint64_t>;
  explicit Slots(size_t most_tokens = size_t{16} << 20) : most_tokens_(most_tokens) {}

  void put(const std::string& client, int64_t slot, Identities identities);
  /// Empty when nothing is known.
  Identities get(const std::string& client, int64_t slot) const;
  void erase(const std::string& client, int64_t slot);
  /// The client's slots and how many tokens each has.
  std::map<int64_t, int64_t> list(const std::string& client) const;

 private:
  using Key = std::pair<std::string, int64_t>;
  struct Slot {
    Identities identities;
    uint64_t used = 0;
  };
  void forget(std::map<Key, Slot>::iterator slot);

  size_t most_tokens_;
  mutable std::mutex mutex_;
  std::map<Key, Slot> slots_;
  size_t tokens_ = 0;
  uint64_t uses_ = 0;
};

}  // namespace corral::serve
