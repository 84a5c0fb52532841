#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>

#include "serve/api_json.h"

namespace corral::serve {

/// A response that a later one may go on from.
struct StoredResponse {
  std::string client;    // whose it is; nobody else gets it
  OrderedJson response;  // as it was sent
  OrderedJson messages;  // the conversation with its answer, without instructions
};

/// Keeps the latest responses in memory, under a limit of bytes. Thread-safe.
class ResponseStore {
 public:
  explicit ResponseStore(int64_t max_bytes) : max_bytes_(max_bytes) {}

  void put(const std::string& id, StoredResponse response);
  /// Absent when it is not there, or another client's. It counts as used.
  std::shared_ptr<const StoredResponse> get(const std::string& id, const std::string& client);
  bool remove(const std::string& id, const std::string& client);
  int64_t bytes() const;

 private:
  struct Entry {
    std::string id;
    std::shared_ptr<const StoredResponse> response = nullptr;
    int64_t bytes = 0;
  };
  using Place = std::list<Entry>::iterator;
  std::optional<Place> find(const std::string& id, const std::string& client);
  void erase(Place place);

  int64_t max_bytes_;
  mutable std::mutex mutex_;
  std::list<Entry> entries_;  // latest first
  std::unordered_map<std::string, Place> by_id_;
  int64_t bytes_ = 0;
};

}  // namespace corral::serve
