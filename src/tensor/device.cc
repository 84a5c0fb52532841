#include "tensor/device.h"

#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <utility>
#include <vector>

#include "base/error.h"

namespace corral {
namespace {

constexpr int64_t kAlignment = 64;
constexpr int64_t kHugePage = int64_t{2} << 20;
constexpr int64_t kHugeFrom = 2 * kHugePage;
constexpr int64_t kLargest = int64_t{1} << 40;  // a tensor of 1 TiB comes from a wrong size

struct SizeClass {
  size_t index;
  int64_t size_bytes;
};

// Eight sizes an octave: a freed block serves requests of nearly its size, at most an eighth is
// lost.
SizeClass size_class(int64_t size_bytes) {
  constexpr int kOctave = 8;  // sizes of one
  const auto size = static_cast<uint64_t>(std::max<int64_t>(size_bytes, 1));
  const int first = std::bit_width(uint64_t{kOctave * kAlignment}) - 1;
  const int octave = std::max(0, static_cast<int>(std::bit_width(size)) - 1 - first);
  const int shift = std::countr_zero(static_cast<uint64_t>(kAlignment)) + octave;
  const uint64_t steps = ((size - 1) >> shift) + 1;  // 1 to 16
  return {static_cast<size_t>(octave * kOctave) + steps, static_cast<int64_t>(steps << shift)};
}

std::byte* system_allocate(int64_t size_bytes) {
  const bool huge = size_bytes >= kHugeFrom;
  const auto alignment = static_cast<size_t>(huge ? kHugePage : kAlignment);
  const size_t rounded = (static_cast<size_t>(size_bytes) + alignment - 1) / alignment * alignment;
  void* memory = std::aligned_alloc(alignment, rounded);
  if (memory == nullptr) {
    throw Error(str("out of memory: cannot allocate ", size_bytes, " bytes"));
  }
  if (huge) ::madvise(memory, rounded, MADV_HUGEPAGE);
  return static_cast<std::byte*>(memory);
}

}  // namespace

DevicePtr Device::cpu(const CpuOptions& options) { return DevicePtr(new Device(options)); }

Device::Device(const CpuOptions& options) : threads_(options.threads), isa_(options.isa) {
  const std::vector<simd::Isa> isas = simd::machine_isas();
  if (std::find(isas.begin(), isas.end(), options.isa) == isas.end()) {
    throw UsageError(str("this processor does not run ", simd::isa_name(options.isa), ": it runs ",
                         simd::machine_isa_names()));
  }
}

Device::~Device() { trim(); }

void Device::Kept::put(std::byte* block) {
  std::memcpy(block, &first, sizeof(first));
  first = block;
}

std::byte* Device::Kept::take() {
  std::byte* block = first;
  if (block != nullptr) std::memcpy(&first, block, sizeof(first));
  return block;
}

std::byte* Device::allocate(int64_t size_bytes) {
  if (size_bytes > kLargest) {
    throw Error(str("out of memory: cannot allocate ", size_bytes, " bytes"));
  }
  const auto [index, size] = size_class(size_bytes);
  {
    const std::lock_guard lock(lock_);
    std::byte* memory = kept_[index].take();
    if (memory != nullptr) {
      count_in_use(size);
      return memory;
    }
  }
  std::byte* memory = system_allocate(size);
  const std::lock_guard lock(lock_);
  stats_.held_bytes += size;
  ++stats_.system_allocations;
  count_in_use(size);
  return memory;
}

void Device::count_in_use(int64_t size_bytes) {
  stats_.in_use_bytes += size_bytes;
  stats_.peak_bytes = std::max(stats_.peak_bytes, stats_.in_use_bytes);
}

void Device::release(std::byte* memory, int64_t size_bytes) {
  const auto [index, size] = size_class(size_bytes);
  const std::lock_guard lock(lock_);
  stats_.in_use_bytes -= size;
  kept_[index].size_bytes = size;
  kept_[index].put(memory);
}

Device::MemoryStats Device::memory() const {
  const std::lock_guard lock(lock_);
  return stats_;
}

void Device::trim() {
  for (Kept& kept : kept_) {
    Kept gone;
    {
      const std::lock_guard lock(lock_);
      std::swap(gone, kept);
    }
    int64_t bytes = 0;
    while (std::byte* block = gone.take()) {
      std::free(block);  // NOLINT(cppcoreguidelines-no-malloc)
      bytes += gone.size_bytes;
    }
    const std::lock_guard lock(lock_);
    stats_.held_bytes -= bytes;
  }
}

}  // namespace corral
