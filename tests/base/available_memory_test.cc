#include "base/available_memory.h"

#include <gtest/gtest.h>

namespace corral {
namespace {

TEST(AvailableMemory, IsSomeOfWhatALinuxMachineHas) {
  const int64_t bytes = available_memory_bytes();
  EXPECT_GT(bytes, int64_t{1} << 20);
  EXPECT_LT(bytes, int64_t{1} << 50);
}

}  // namespace
}  // namespace corral
