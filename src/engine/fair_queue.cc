#include "engine/fair_queue.h"

#include <algorithm>
#include <utility>

#include "engine/job.h"

namespace corral::engine {

FairQueue::FairQueue() = default;
FairQueue::~FairQueue() = default;

void FairQueue::push(std::unique_ptr<Job> job) {
  Level& level = levels_[job->request.priority];
  auto& line = level.of_client[job->request.client];
  if (line.empty()) level.turns.push_back(job->request.client);
  line.push_back(std::move(job));
  ++size_;
}

Job* FairQueue::front() const {
  if (levels_.empty()) return nullptr;
  const Level& level = levels_.begin()->second;
  return level.of_client.at(level.turns.front()).front().get();
}

std::unique_ptr<Job> FairQueue::pop() {
  if (levels_.empty()) return nullptr;
  Level& level = levels_.begin()->second;
  const std::string client = std::move(level.turns.front());
  level.turns.pop_front();
  const auto line = level.of_client.find(client);
  std::unique_ptr<Job> job = std::move(line->second.front());
  line->second.pop_front();
  if (line->second.empty()) {
    level.of_client.erase(line);
  } else {
    level.turns.push_back(client);
  }
  if (level.turns.empty()) levels_.erase(levels_.begin());
  --size_;
  return job;
}

std::vector<std::unique_ptr<Job>> FairQueue::take_if(
    const std::function<bool(const Job&)>& predicate) {
  std::vector<std::unique_ptr<Job>> taken;
  for (auto level = levels_.begin(); level != levels_.end();) {
    auto& of_client = level->second.of_client;
    auto& turns = level->second.turns;
    for (auto line = of_client.begin(); line != of_client.end();) {
      auto& jobs = line->second;
      const auto gone = std::stable_partition(jobs.begin(), jobs.end(),
                                              [&](const auto& job) { return !predicate(*job); });
      for (auto job = gone; job != jobs.end(); ++job) taken.push_back(std::move(*job));
      jobs.erase(gone, jobs.end());
      if (jobs.empty()) {
        turns.erase(std::find(turns.begin(), turns.end(), line->first));
        line = of_client.erase(line);
      } else {
        ++line;
      }
    }
    level = of_client.empty() ? levels_.erase(level) : std::next(level);
  }
  size_ -= taken.size();
  return taken;
}

}  // namespace corral::engine
