#include "serve/slots.h"

#include <algorithm>

namespace corral::serve {

void Slots::forget(std::map<Key, Slot>::iterator slot) {
  tokens_ -= slot->second.identities.size();
  slots_.erase(slot);
}

void Slots::put(const std::string& client, int64_t slot, Identities identities) {
  const std::lock_guard lock(mutex_);
  if (const auto before = slots_.find({client, slot}); before != slots_.end()) forget(before);
  while (!slots_.empty() && tokens_ + identities.size() > most_tokens_) {
    forget(std::min_element(slots_.begin(), slots_.end(), [](const auto& a, const auto& b) {
      return a.second.used < b.second.used;
    }));
  }
  tokens_ += identities.size();
  slots_[{client, slot}] = {.identities = std::move(identities), .used = ++uses_};
}

Slots::Identities Slots::get(const std::string& client, int64_t slot) const {
  const std::lock_guard lock(mutex_);
  const auto found = slots_.find({client, slot});
  return found == slots_.end() ? Identities() : found->second.identities;
}

void Slots::erase(const std::string& client, int64_t slot) {
  const std::lock_guard lock(mutex_);
  if (const auto found = slots_.find({client, slot}); found != slots_.end()) forget(found);
}

std::map<int64_t, int64_t> Slots::list(const std::string& client) const {
  const std::lock_guard lock(mutex_);
  std::map<int64_t, int64_t> result;
  for (const auto& [key, slot] : slots_) {
    if (key.first == client) result[key.second] = static_cast<int64_t>(slot.identities.size());
  }
  return result;
}

}  // namespace corral::serve
