#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "base/spin_lock.h"
#include "base/thread_pool.h"
#include "simd/isa.h"
#include "tensor/read_ahead.h"

namespace corral {

/// How the CPU device is made.
struct CpuOptions {
  int threads = default_threads();
  simd::Isa isa = simd::detect_isa();
};

/// What computes and owns memory: threads, instruction set and an allocator that keeps what was
/// freed, so that a training step asks the operating system for nothing after the first. Tensors
/// carry their device, so no call names one and there is no ambient default. Thread-safe.
class Device {
 public:
  static std::shared_ptr<Device> cpu(const CpuOptions& options = {});
  ~Device();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  ThreadPool& threads() { return threads_; }
  simd::Isa isa() const { return isa_; }
  ReadAhead& read_ahead() { return read_ahead_; }

  /// Uninitialised memory, aligned to 64 bytes (2 MiB for 4 MiB and more). Throws Error when there
  /// is no memory. Give it back with the same size.
  std::byte* allocate(int64_t size_bytes);
  void release(std::byte* memory, int64_t size_bytes);

  struct MemoryStats {
    int64_t in_use_bytes = 0;        // handed out now
    int64_t peak_bytes = 0;          // most ever handed out at once
    int64_t held_bytes = 0;          // in use and kept for reuse
    int64_t system_allocations = 0;  // times that the operating system was asked
  };
  MemoryStats memory() const;
  /// Gives all kept memory back to the operating system.
  void trim();

 private:
  explicit Device(const CpuOptions& options);
  /// Blocks that are kept: each begins with the address of the next.
  struct Kept {
    std::byte* first = nullptr;
    int64_t size_bytes = 0;

    void put(std::byte* block);
    /// Null when there is none.
    std::byte* take();
  };

  void count_in_use(int64_t size_bytes);

  ThreadPool threads_;
  simd::Isa isa_;
  ReadAhead read_ahead_;
  mutable SpinLock lock_;
  static constexpr size_t kSizeClasses = 272;
  std::array<Kept, kSizeClasses> kept_;  // of each size class
  MemoryStats stats_;
};

using DevicePtr = std::shared_ptr<Device>;

}  // namespace corral
