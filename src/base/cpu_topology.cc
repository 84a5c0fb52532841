#include "base/cpu_topology.h"

#include <linux/mempolicy.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <fstream>
#include <map>
#include <optional>
#include <set>
#include <sstream>
#include <string>

namespace corral {
namespace {

namespace fs = std::filesystem;

constexpr int kMostCpus = CPU_SETSIZE;
constexpr int kMostNodes = 1024;
// What an efficiency core is worth beside a performance core where the system only names them.
constexpr double kEfficiencyCapacity = 0.5;

std::string first_line(const fs::path& path) {
  std::ifstream in(path);
  std::string line;
  std::getline(in, line);
  return line;
}

std::optional<int64_t> number_in(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end == text.data()) return std::nullopt;
  return value;
}

// Capacities as the kernel states them; else from the lists of a hybrid machine's two kinds.
void read_capacities(const fs::path& root, std::vector<Cpu>& cpus) {
  double most = 0;
  for (Cpu& cpu : cpus) {
    const auto path = root / "sys/devices/system/cpu" / ("cpu" + std::to_string(cpu.id));
    cpu.capacity = static_cast<double>(number_in(first_line(path / "cpu_capacity")).value_or(0));
    most = std::max(most, cpu.capacity);
  }
  const auto slow = parse_cpu_list(first_line(root / "sys/devices/cpu_atom/cpus"));
  for (Cpu& cpu : cpus) {
    const bool is_slow = std::binary_search(slow.begin(), slow.end(), cpu.id);
    if (most <= 0) {
      cpu.capacity = is_slow ? kEfficiencyCapacity : 1;
    } else {
      cpu.capacity = cpu.capacity > 0 ? cpu.capacity / most : 1;
    }
  }
}

void read_nodes(const fs::path& root, std::vector<Cpu>& cpus) {
  const auto folder = root / "sys/devices/system/node";
  for (const int node : parse_cpu_list(first_line(folder / "online"))) {
    if (node >= kMostNodes) continue;
    const auto list =
        parse_cpu_list(first_line(folder / ("node" + std::to_string(node)) / "cpulist"));
    for (Cpu& cpu : cpus) {
      if (std::binary_search(list.begin(), list.end(), cpu.id)) cpu.node = node;
    }
  }
}

// "max 100000" or "250000 100000".
double quota_v2(const fs::path& group) {
  std::istringstream in(first_line(group / "cpu.max"));
  double quota = 0;
  double period = 0;
  return in >> quota >> period && quota > 0 && period > 0 ? quota / period : 0;
}

double quota_v1(const fs::path& group) {
  const auto quota = number_in(first_line(group / "cpu.cfs_quota_us")).value_or(-1);
  const auto period = number_in(first_line(group / "cpu.cfs_period_us")).value_or(0);
  return quota > 0 && period > 0 ? static_cast<double>(quota) / static_cast<double>(period) : 0;
}

// The least quota of a group and those around it; 0: none.
template <class Quota>
double least_quota(const fs::path& mount, fs::path group, const Quota& quota) {
  double least = 0;
  for (int depth = 0; depth < 64; ++depth) {
    const double here = quota(mount / group.relative_path());
    if (here > 0 && (least == 0 || here < least)) least = here;
    if (!group.has_relative_path()) break;
    group = group.parent_path();
  }
  return least;
}

// Lines of /proc/self/cgroup: "0::/path" (version 2), "4:cpu,cpuacct:/path" (version 1).
double read_quota(const fs::path& root) {
  std::ifstream in(root / "proc/self/cgroup");
  double least = 0;
  std::string line;
  while (std::getline(in, line)) {
    const size_t first = line.find(':');
    const size_t second = line.find(':', first + 1);
    if (first == line.npos || second == line.npos) continue;
    const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
    const fs::path group = line.substr(second + 1);
    double quota = 0;
    if (controllers == ",,") {
      quota = least_quota(root / "sys/fs/cgroup", group, quota_v2);
    } else if (controllers.find(",cpu,") != controllers.npos) {
      quota = least_quota(root / "sys/fs/cgroup/cpu", group, quota_v1);
    }
    if (quota > 0 && (least == 0 || quota < least)) least = quota;
  }
  return least;
}

// The calling thread, and threads that it starts. False when the system refuses.
bool run_on(const std::vector<int>& cpus) {
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const int cpu : cpus) CPU_SET(static_cast<size_t>(cpu), &set);
  return sched_setaffinity(0, sizeof(set), &set) == 0;
}

}  // namespace

int CpuTopology::nodes() const {
  std::set<int> nodes;
  for (const Cpu& cpu : cpus) nodes.insert(cpu.node);
  return static_cast<int>(nodes.size());
}

std::vector<int> parse_cpu_list(std::string_view list) {
  std::set<int> cpus;
  while (!list.empty()) {
    const size_t comma = list.find(',');
    const std::string_view part = list.substr(0, comma);
    list = comma == list.npos ? std::string_view() : list.substr(comma + 1);
    const size_t dash = part.find('-');
    const auto from = number_in(part.substr(0, dash));
    const auto to = dash == part.npos ? from : number_in(part.substr(dash + 1));
    if (!from || !to || *from < 0 || *to >= kMostCpus) continue;
    for (int64_t cpu = *from; cpu <= *to; ++cpu) cpus.insert(static_cast<int>(cpu));
  }
  return {cpus.begin(), cpus.end()};
}

std::vector<int> allowed_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::vector<int> cpus;
  if (sched_getaffinity(0, sizeof(set), &set) == 0) {
    for (size_t cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
      if (CPU_ISSET(cpu, &set)) cpus.push_back(static_cast<int>(cpu));
    }
  }
  if (cpus.empty()) cpus.push_back(0);
  return cpus;
}

int64_t level3_cache_bytes(const fs::path& root, const std::vector<int>& allowed) {
  std::set<std::string> counted;  // the processors that share one
  int64_t bytes = 0;
  for (const int id : allowed) {
    const auto cache =
        root / "sys/devices/system/cpu" / ("cpu" + std::to_string(id)) / "cache/index3";
    const std::string sharing = first_line(cache / "shared_cpu_list");
    if (sharing.empty() || !counted.insert(sharing).second) continue;
    bytes += number_in(first_line(cache / "size")).value_or(0) << 10;  // "32768K"
  }
  return bytes;
}

CpuTopology read_cpu_topology(const fs::path& root, const std::vector<int>& allowed) {
  CpuTopology topology;
  for (const int id : allowed) {
    const auto folder = root / "sys/devices/system/cpu" / ("cpu" + std::to_string(id)) / "topology";
    auto siblings = parse_cpu_list(first_line(folder / "core_cpus_list"));
    if (siblings.empty()) siblings = parse_cpu_list(first_line(folder / "thread_siblings_list"));
    topology.cpus.push_back({.id = id, .core = siblings.empty() ? id : siblings.front()});
  }
  std::sort(topology.cpus.begin(), topology.cpus.end(),
            [](const Cpu& a, const Cpu& b) { return a.id < b.id; });
  read_capacities(root, topology.cpus);
  read_nodes(root, topology.cpus);
  topology.quota = read_quota(root);
  return topology;
}

std::vector<int> cpus_to_compute_on(const CpuTopology& topology) {
  std::map<int, Cpu> cores;  // the first hardware thread of each that is allowed
  for (const Cpu& cpu : topology.cpus) cores.emplace(cpu.core, cpu);
  std::vector<Cpu> team;
  team.reserve(cores.size());
  for (const auto& [core, cpu] : cores) team.push_back(cpu);
  std::stable_sort(team.begin(), team.end(),
                   [](const Cpu& a, const Cpu& b) { return a.capacity > b.capacity; });
  if (topology.quota > 0 && topology.quota < static_cast<double>(team.size())) {
    team.resize(std::max<size_t>(1, static_cast<size_t>(topology.quota)));
  }
  size_t best = 0;
  double fastest = 0;
  for (size_t n = 1; n <= team.size(); ++n) {
    const double speed = static_cast<double>(n) * team[n - 1].capacity;
    if (speed <= fastest) continue;
    fastest = speed;
    best = n;
  }
  team.resize(best);
  std::stable_sort(team.begin(), team.end(),
                   [](const Cpu& a, const Cpu& b) { return a.node < b.node; });
  std::vector<int> ids;
  ids.reserve(team.size());
  for (const Cpu& cpu : team) ids.push_back(cpu.id);
  if (ids.empty()) ids.push_back(0);
  return ids;
}

NodeBinding::NodeBinding(const CpuTopology& topology, int threads) {
  if (topology.nodes() < 2) return;
  constexpr size_t kBits = 8 * sizeof(unsigned long);
  std::array<unsigned long, kMostNodes / kBits> mask = {};
  for (const Cpu& cpu : topology.cpus) {
    const auto node = static_cast<size_t>(cpu.node);
    mask[node / kBits] |= 1UL << (node % kBits);
  }
  ::syscall(SYS_set_mempolicy, MPOL_INTERLEAVE, mask.data(), kMostNodes);
  const std::vector<int> team = cpus_to_compute_on(topology);
  if (threads > std::ssize(team)) return;
  const std::vector<int> before = allowed_cpus();
  if (run_on(team)) before_ = before;
}

NodeBinding::~NodeBinding() {
  if (!before_.empty()) run_on(before_);
}

}  // namespace corral
