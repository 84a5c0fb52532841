#include "serve/shelf.h"

#include <algorithm>
#include <utility>

#include "serve/api_error.h"

namespace corral::serve {
namespace {

// What was counted before a model was closed belongs to the sums of those who watch it.
engine::SchedulerStats sum(engine::SchedulerStats now, const engine::SchedulerStats& before) {
  now.requests += before.requests;
  now.prompt_tokens += before.prompt_tokens;
  now.cached_tokens += before.cached_tokens;
  now.answer_tokens += before.answer_tokens;
  now.steps += before.steps;
  now.step_tokens += before.step_tokens;
  now.drafted += before.drafted;
  now.accepted += before.accepted;
  now.parked += before.parked;
  now.loaded_bytes += before.loaded_bytes;
  now.busy_seconds += before.busy_seconds;
  for (const auto& [reason, count] : before.finished) now.finished[reason] += count;
  return now;
}

}  // namespace

Shelf::Shelf(std::vector<ShelfEntry> entries, int64_t max_bytes) : max_bytes_(max_bytes) {
  if (entries.empty()) throw UsageError("no model to serve");
  for (ShelfEntry& entry : entries) {
    if (entry.name.empty()) throw UsageError("a model without a name");
    if (entry.bytes > max_bytes) {
      throw UsageError(str("the model '", entry.name, "' takes ", entry.bytes,
                           " bytes, all models together may take ", max_bytes));
    }
    const std::string name = entry.name;
    state_->order.push_back(name);
    Slot slot;
    slot.entry = std::move(entry);
    if (!state_->slots.emplace(name, std::move(slot)).second) {
      throw UsageError(str("two models are called '", name, "'"));
    }
  }
  for (const std::string& name : state_->order) {
    if (state_->slots.at(name).entry.preload) open(name);
  }
}

Shelf::~Shelf() {
  drain();
  // Requests may hold leases to the end; what still runs is ended by the engines' destructors.
  std::vector<std::unique_ptr<Service>> open;
  {
    const std::lock_guard lock(state_->mutex);
    for (auto& [name, slot] : state_->slots) open.push_back(std::move(slot.service));
  }
}

Shelf::Slot& Shelf::find(const std::string& name) const {
  const auto found = state_->slots.find(name.empty() ? state_->order.front() : name);
  if (found != state_->slots.end()) return found->second;
  std::string known;
  for (const std::string& one : state_->order) known += (known.empty() ? "" : ", ") + one;
  throw ApiError(404,
                 str("the model '", name.substr(0, 100), "' is not served here: there is ", known),
                 "model", "model_not_found");
}

Lease Shelf::lease(Slot& slot) const {
  ++slot.in_use;
  slot.last_use = ++state_->uses;
  return {slot.service.get(), [state = state_, name = slot.entry.name](Service*) {
            const std::lock_guard lock(state->mutex);
            --state->slots.at(name).in_use;
            state->changed.notify_all();
          }};
}

Lease Shelf::open(const std::string& name) {
  std::unique_lock lock(state_->mutex);
  Slot& slot = find(name);
  while (slot.opening) state_->changed.wait(lock);
  if (state_->draining) throw ApiError(503, "the server is shutting down");
  if (slot.service != nullptr) return lease(slot);
  slot.opening = true;
  state_->bytes += slot.entry.bytes;
  const auto give_up = [&] {
    slot.opening = false;
    state_->bytes -= slot.entry.bytes;
    state_->changed.notify_all();
  };
  try {
    make_room(lock, slot);
    lock.unlock();
    auto service = std::make_unique<Service>(slot.entry.name, slot.entry.open());
    lock.lock();
    slot.service = std::move(service);
  } catch (...) {
    if (!lock.owns_lock()) lock.lock();
    give_up();
    throw;
  }
  slot.opening = false;
  ++slot.opened;
  slot.context_tokens = slot.service->engine().context_tokens();
  state_->changed.notify_all();
  return lease(slot);
}

// Closes the models used longest ago until all that are open, the wanted one included, fit.
void Shelf::make_room(std::unique_lock<std::mutex>& lock, const Slot& wanted) {
  while (state_->bytes > max_bytes_) {
    Slot* oldest = nullptr;
    for (auto& [name, slot] : state_->slots) {
      if (slot.service == nullptr || slot.in_use > 0) continue;
      if (oldest == nullptr || slot.last_use < oldest->last_use) oldest = &slot;
    }
    if (oldest == nullptr) {
      throw ApiError(503, str("the memory for the model '", wanted.entry.name,
                              "' is in use by others that answer now: try again"));
    }
    oldest->closed = sum(oldest->service->engine().stats(), oldest->closed);
    std::unique_ptr<Service> closing = std::move(oldest->service);
    oldest->opening = true;  // nobody opens it before it is gone
    lock.unlock();
    closing.reset();
    lock.lock();
    oldest->opening = false;
    state_->bytes -= oldest->entry.bytes;
    state_->changed.notify_all();
  }
}

OrderedJson Shelf::json(const Slot& slot) const {
  OrderedJson model;
  model["id"] = slot.entry.name;
  model["object"] = "model";
  model["created"] = slot.entry.created;
  model["owned_by"] = "corral";
  model["loaded"] = slot.service != nullptr;
  if (slot.context_tokens > 0) model["max_model_len"] = slot.context_tokens;
  return model;
}

OrderedJson Shelf::list() const {
  const std::lock_guard lock(state_->mutex);
  OrderedJson result;
  result["object"] = "list";
  result["data"] = OrderedJson::array();
  for (const std::string& name : state_->order) {
    result["data"].push_back(json(state_->slots.at(name)));
  }
  return result;
}

OrderedJson Shelf::describe(const std::string& name) const {
  const std::lock_guard lock(state_->mutex);
  return json(find(name));
}

std::vector<ShelfStats> Shelf::stats() const {
  const std::lock_guard lock(state_->mutex);
  std::vector<ShelfStats> result;
  for (const std::string& name : state_->order) {
    const Slot& slot = state_->slots.at(name);
    ShelfStats stats{.name = name,
                     .open = slot.service != nullptr,
                     .in_use = slot.in_use,
                     .opened = slot.opened,
                     .engine = slot.closed};
    if (slot.service != nullptr) stats.engine = sum(slot.service->engine().stats(), slot.closed);
    result.push_back(std::move(stats));
  }
  return result;
}

void Shelf::drain() {
  const std::lock_guard lock(state_->mutex);
  state_->draining = true;
  for (auto& [name, slot] : state_->slots) {
    if (slot.service != nullptr) slot.service->engine().drain();
  }
}

}  // namespace corral::serve
