#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace corral::engine {

struct Job;

/// Who waits, and whose turn it is: the highest priority first; within it clients take turns,
/// however much each has sent; a client's own requests go in their order.
class FairQueue {
 public:
  FairQueue();
  ~FairQueue();

  void push(std::unique_ptr<Job> job);
  /// The next one; null when nobody waits.
  Job* front() const;
  std::unique_ptr<Job> pop();
  /// Takes out those that the predicate names.
  std::vector<std::unique_ptr<Job>> take_if(const std::function<bool(const Job&)>& predicate);
  size_t size() const { return size_; }

 private:
  struct Level {
    std::map<std::string, std::deque<std::unique_ptr<Job>>> of_client;  // none empty
    std::deque<std::string> turns;                                      // front: whose turn it is
  };
  std::map<int32_t, Level, std::greater<>> levels_;  // none empty
  size_t size_ = 0;
};

}  // namespace corral::engine
