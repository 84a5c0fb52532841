#pragma once

#include <cstdint>
#include <filesystem>
#include <string_view>
#include <vector>

namespace corral {

/// A processor as the operating system counts them: a hardware thread.
struct Cpu {
  int id = 0;
  int core = 0;         // the lowest id among the hardware threads of its core
  int node = 0;         // of memory
  double capacity = 1;  // speed beside the fastest; less on the slow cores of hybrid machines
};

/// The processors that this process may use, and how much of them.
struct CpuTopology {
  std::vector<Cpu> cpus;  // by id
  double quota = 0;       // processors' worth of time that control groups grant; 0: no limit

  int nodes() const;
};

/// What sysfs and the control groups below `root` ("/", or a folder with copies of such files) say
/// of these processors. What is missing or unreadable counts as: a core of its own, node 0, fast,
/// no limit.
CpuTopology read_cpu_topology(const std::filesystem::path& root, const std::vector<int>& allowed);
/// Bytes of the level-3 caches of these processors together, as sysfs below `root` says; 0 when it
/// does not. (sysconf() gives a virtual machine all of its host's.)
int64_t level3_cache_bytes(const std::filesystem::path& root, const std::vector<int>& allowed);
/// The processors in this thread's affinity mask; {0} when the system does not say.
std::vector<int> allowed_cpus();

/// The processors that a team of threads should run on, in order of their nodes. One a core: the
/// vector units are shared by a core's hardware threads. As work is split evenly, the team is as
/// fast as its number times its slowest member: slow cores are left out where they do not make up
/// for that. No more than the quota, which would stop all threads at once. At least one.
std::vector<int> cpus_to_compute_on(const CpuTopology& topology);

/// "0-3,8,10-11" as numbers below CPU_SETSIZE (1024), ascending; what does not parse is left out.
std::vector<int> parse_cpu_list(std::string_view list);

/// With memory on several nodes: `threads` threads that are started while one of these lives run on
/// the processors of cpus_to_compute_on() only, unless they are more than these, and spread the
/// memory that they touch first evenly over the nodes, since every thread reads a share of every
/// weight. The thread that made it spreads its memory too, from then on, and may run where it could
/// before again afterwards. Nothing happens with one node, or where the system refuses.
class NodeBinding {
 public:
  NodeBinding(const CpuTopology& topology, int threads);
  ~NodeBinding();
  NodeBinding(const NodeBinding&) = delete;
  NodeBinding& operator=(const NodeBinding&) = delete;

 private:
  std::vector<int> before_;  // processors of the thread; empty: nothing to restore
};

}  // namespace corral
