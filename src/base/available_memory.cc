#include "base/available_memory.h"

#include <fstream>
#include <string>

namespace corral {

int64_t available_memory_bytes() {
  std::ifstream info("/proc/meminfo");
  std::string name;
  int64_t kib = 0;
  std::string unit;
  while (info >> name >> kib) {
    std::getline(info, unit);
    if (name == "MemAvailable:") return kib << 10;
  }
  return 0;
}

}  // namespace corral
