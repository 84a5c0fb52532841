#include "base/cpu_topology.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <string>
#include <thread>

#include "support/temp_dir.h"

namespace corral {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

/// A folder with files as /sys and /proc have them.
class Machine {
 public:
  void file(const std::string& path, const std::string& content) const {
    const auto whole = dir_.path() / path;
    std::filesystem::create_directories(whole.parent_path());
    std::ofstream(whole) << content << '\n';
  }
  void cpu(int id, const std::string& file_name, const std::string& content) const {
    file("sys/devices/system/cpu/cpu" + std::to_string(id) + "/" + file_name, content);
  }
  CpuTopology topology(const std::vector<int>& allowed) const {
    return read_cpu_topology(dir_.path(), allowed);
  }
  int64_t level3(const std::vector<int>& allowed) const {
    return level3_cache_bytes(dir_.path(), allowed);
  }

 private:
  test::TempDir dir_;
};

TEST(CpuTopology, CountsEveryProcessorWhenNothingIsKnown) {
  const Machine machine;
  EXPECT_THAT(cpus_to_compute_on(machine.topology({0, 1, 5})), ElementsAre(0, 1, 5));
}

TEST(CpuTopology, AddsUpTheLevel3CachesOfTheProcessors) {
  const Machine machine;
  for (const int id : {0, 1, 2, 3}) {
    machine.cpu(id, "cache/index3/shared_cpu_list", id < 2 ? "0-1" : "2-3");
    machine.cpu(id, "cache/index3/size", "32768K");
  }
  EXPECT_EQ(machine.level3({0, 1, 2, 3}), int64_t{64} << 20);
  EXPECT_EQ(machine.level3({2, 3}), int64_t{32} << 20);
  EXPECT_EQ(machine.level3({4}), 0);
}

TEST(CpuTopology, TakesOneHardwareThreadOfACore) {
  const Machine machine;
  for (const int id : {0, 1, 2, 3}) {
    machine.cpu(id, "topology/core_cpus_list", id % 2 == 0 ? "0,2" : "1,3");
  }
  EXPECT_THAT(cpus_to_compute_on(machine.topology({0, 1, 2, 3})), ElementsAre(0, 1));
  // The first of a core may be forbidden.
  EXPECT_THAT(cpus_to_compute_on(machine.topology({1, 2, 3})), ElementsAre(2, 1));
}

TEST(CpuTopology, ReadsTheOlderNameOfSiblings) {
  const Machine machine;
  for (const int id : {0, 1}) machine.cpu(id, "topology/thread_siblings_list", "0-1");
  EXPECT_THAT(cpus_to_compute_on(machine.topology({0, 1})), ElementsAre(0));
}

TEST(CpuTopology, LeavesSlowCoresOutWhereTheyWouldHoldTheOthersUp) {
  const Machine machine;
  machine.file("sys/devices/cpu_atom/cpus", "4-5");
  EXPECT_THAT(cpus_to_compute_on(machine.topology({0, 1, 2, 3, 4, 5})), ElementsAre(0, 1, 2, 3));
}

TEST(CpuTopology, TakesManySlowCoresBesideFewFastOnes) {
  const Machine machine;
  machine.file("sys/devices/cpu_atom/cpus", "2-9");
  EXPECT_EQ(cpus_to_compute_on(machine.topology({0, 1, 2, 3, 4, 5, 6, 7, 8, 9})).size(), 10U);
}

TEST(CpuTopology, KnowsCapacitiesThatTheKernelStates) {
  const Machine machine;
  for (const int id : {0, 1, 2, 3}) machine.cpu(id, "cpu_capacity", id < 2 ? "400" : "1024");
  EXPECT_THAT(cpus_to_compute_on(machine.topology({0, 1, 2, 3})), ElementsAre(2, 3));
}

TEST(CpuTopology, StaysWithinTheQuotaOfItsControlGroups) {
  const Machine machine;
  machine.file("proc/self/cgroup", "0::/outer/inner");
  machine.file("sys/fs/cgroup/outer/inner/cpu.max", "max 100000");
  EXPECT_EQ(machine.topology({0, 1, 2, 3}).quota, 0);
  machine.file("sys/fs/cgroup/outer/cpu.max", "250000 100000");
  EXPECT_EQ(machine.topology({0, 1, 2, 3}).quota, 2.5);
  EXPECT_THAT(cpus_to_compute_on(machine.topology({0, 1, 2, 3})), ElementsAre(0, 1));
  machine.file("sys/fs/cgroup/outer/cpu.max", "50000 100000");
  EXPECT_THAT(cpus_to_compute_on(machine.topology({0, 1, 2, 3})), ElementsAre(0));
}

TEST(CpuTopology, ReadsQuotasOfTheFirstVersion) {
  const Machine machine;
  machine.file("proc/self/cgroup", "9:name=systemd:/\n4:cpu,cpuacct:/job\n3:memory:/job");
  machine.file("sys/fs/cgroup/cpu/job/cpu.cfs_quota_us", "300000");
  machine.file("sys/fs/cgroup/cpu/job/cpu.cfs_period_us", "100000");
  EXPECT_EQ(machine.topology({0}).quota, 3);
  machine.file("sys/fs/cgroup/cpu/job/cpu.cfs_quota_us", "-1");
  EXPECT_EQ(machine.topology({0}).quota, 0);
}

TEST(CpuTopology, KnowsNodesAndGoesThroughThemInOrder) {
  const Machine machine;
  machine.file("sys/devices/system/node/online", "0-1");
  machine.file("sys/devices/system/node/node0/cpulist", "0,2");
  machine.file("sys/devices/system/node/node1/cpulist", "1,3");
  const CpuTopology topology = machine.topology({0, 1, 2, 3});
  EXPECT_EQ(topology.nodes(), 2);
  EXPECT_THAT(cpus_to_compute_on(topology), ElementsAre(0, 2, 1, 3));
  EXPECT_EQ(machine.topology({1, 3}).nodes(), 1);
}

TEST(CpuTopology, SurvivesFilesThatSayNothingUseful) {
  const Machine machine;
  machine.cpu(0, "topology/core_cpus_list", "x-y,,-3");
  machine.cpu(0, "cpu_capacity", "fast");
  machine.file("sys/devices/system/node/online", "0-999999999999");
  machine.file("proc/self/cgroup", "garbage\n0::\n:::");
  machine.file("sys/fs/cgroup/cpu.max", "0 0");
  EXPECT_THAT(cpus_to_compute_on(machine.topology({0})), ElementsAre(0));
}

TEST(CpuTopology, OfThisMachineHasAProcessor) {
  const auto allowed = allowed_cpus();
  EXPECT_FALSE(allowed.empty());
  const CpuTopology topology = read_cpu_topology("/", allowed);
  EXPECT_GE(topology.nodes(), 1);
  EXPECT_LE(cpus_to_compute_on(topology).size(), allowed.size());
}

/// Where a thread may run that is started now.
std::vector<int> allowed_in_new_thread() {
  std::vector<int> allowed;
  std::thread([&] { allowed = allowed_cpus(); }).join();
  return allowed;
}

TEST(NodeBinding, KeepsNewThreadsOnTheTeamsProcessors) {
  const auto allowed = allowed_cpus();
  if (allowed.size() < 2) GTEST_SKIP() << "needs two processors";
  // Two nodes, which this machine may not have, with one core that is allowed to compute.
  CpuTopology topology;
  topology.cpus = {{.id = allowed[0], .core = 0}, {.id = allowed[1], .core = 1, .node = 1}};
  topology.quota = 1;
  // In a thread of its own, whose memory policy ends with it.
  std::thread([&] {
    {
      const NodeBinding binding(topology, 1);
      EXPECT_THAT(allowed_in_new_thread(), ElementsAre(allowed[0]));
    }
    {
      const NodeBinding binding(topology, 2);  // more than one a core, as somebody asked for
      EXPECT_EQ(allowed_in_new_thread(), allowed);
    }
    EXPECT_EQ(allowed_cpus(), allowed);
    EXPECT_EQ(allowed_in_new_thread(), allowed);
  }).join();
}

TEST(NodeBinding, DoesNothingWithOneNode) {
  const auto allowed = allowed_cpus();
  CpuTopology topology;
  topology.cpus = {{.id = allowed[0], .core = 0}};
  const NodeBinding binding(topology, 1);
  EXPECT_EQ(allowed_in_new_thread(), allowed);
}

TEST(ParseCpuList, ReadsNumbersAndRanges) {
  EXPECT_THAT(parse_cpu_list("0-2,8, 10-11"), ElementsAre(0, 1, 2, 8, 10, 11));
  EXPECT_THAT(parse_cpu_list("3,1,1"), ElementsAre(1, 3));
  EXPECT_THAT(parse_cpu_list(""), IsEmpty());
  EXPECT_THAT(parse_cpu_list("5-2,70000,-1"), IsEmpty());
}

}  // namespace
}  // namespace corral
