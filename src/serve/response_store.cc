#include "serve/response_store.h"

#include <utility>

namespace corral::serve {

void ResponseStore::put(const std::string& id, StoredResponse response) {
  Entry entry{.id = id};
  // What the texts take; the tree around them is of the same order.
  entry.bytes =
      static_cast<int64_t>(dump(response.response).size() + dump(response.messages).size() +
                           2 * id.size() + response.client.size());
  entry.response = std::make_shared<const StoredResponse>(std::move(response));
  if (entry.bytes > max_bytes_) return;
  const std::lock_guard lock(mutex_);
  bytes_ += entry.bytes;
  entries_.push_front(std::move(entry));
  by_id_[id] = entries_.begin();
  while (bytes_ > max_bytes_) erase(std::prev(entries_.end()));
}

std::shared_ptr<const StoredResponse> ResponseStore::get(const std::string& id,
                                                         const std::string& client) {
  const std::lock_guard lock(mutex_);
  const auto place = find(id, client);
  if (!place) return nullptr;
  entries_.splice(entries_.begin(), entries_, *place);
  return (*place)->response;
}

bool ResponseStore::remove(const std::string& id, const std::string& client) {
  const std::lock_guard lock(mutex_);
  const auto place = find(id, client);
  if (place) erase(*place);
  return place.has_value();
}

int64_t ResponseStore::bytes() const {
  const std::lock_guard lock(mutex_);
  return bytes_;
}

std::optional<ResponseStore::Place> ResponseStore::find(const std::string& id,
                                                        const std::string& client) {
  const auto found = by_id_.find(id);
  if (found == by_id_.end() || found->second->response->client != client) return std::nullopt;
  return found->second;
}

void ResponseStore::erase(Place place) {
  bytes_ -= place->bytes;
  by_id_.erase(place->id);
  entries_.erase(place);
}

}  // namespace corral::serve
