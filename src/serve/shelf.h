#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "serve/service.h"

namespace corral::serve {

/// A model that can be opened.
struct ShelfEntry {
  std::string name;
  /// Opens it; what it throws is what the request that asked for it is told.
  std::function<Service::Parts()> open;
  int64_t bytes = 0;     // that it takes while it is open
  int64_t created = 0;   // of its file, in seconds since 1970
  bool preload = false;  // open before the first request
};

struct ShelfStats {
  std::string name;
  bool open = false;
  int64_t in_use = 0;  // requests
  int64_t opened = 0;  // times
  engine::SchedulerStats engine = {};
};

/// The models of a server: opened when somebody first asks for them, closed again when others need
/// their memory, the one used longest ago first. Thread-safe.
class Shelf {
 public:
  /// The first entry is what requests get that name no model. Throws UsageError for no entry, names
  /// that are empty or come twice, and a model larger than the budget; what open() throws for those
  /// that are preloaded.
  Shelf(std::vector<ShelfEntry> entries, int64_t max_bytes);
  ~Shelf();
  Shelf(const Shelf&) = delete;
  Shelf& operator=(const Shelf&) = delete;

  /// The model of this name (empty: the first), opened if it is not. Throws ApiError 404 for an
  /// unknown name, 503 when all memory is used by models that answer now, and while draining.
  Lease open(const std::string& name);
  /// {"object": "list", "data": [{"id", "object", "created", "owned_by", "loaded",
  /// "max_model_len"}]}.
  OrderedJson list() const;
  /// One of them. Throws ApiError 404.
  OrderedJson describe(const std::string& name) const;
  std::vector<ShelfStats> stats() const;
  /// No model takes requests any longer.
  void drain();

 private:
  struct Slot {
    ShelfEntry entry;
    std::unique_ptr<Service> service;
    bool opening = false;
    int64_t in_use = 0;
    int64_t opened = 0;
    uint64_t last_use = 0;
    int64_t context_tokens = 0;          // known once it was open
    engine::SchedulerStats closed = {};  // what it had counted when it was closed
  };
  /// Outlives the shelf in the leases.
  struct State {
    std::mutex mutex;
    std::condition_variable changed;
    std::map<std::string, Slot> slots;
    std::vector<std::string> order;
    uint64_t uses = 0;
    int64_t bytes = 0;
    bool draining = false;
  };
  Slot& find(const std::string& name) const;
  Lease lease(Slot& slot) const;
  void make_room(std::unique_lock<std::mutex>& lock, const Slot& wanted);
  OrderedJson json(const Slot& slot) const;

  int64_t max_bytes_;
  std::shared_ptr<State> state_ = std::make_shared<State>();
};

}  // namespace corral::serve
