#include "ops/matmul/block_product.h"

#include <algorithm>
#include <atomic>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "ops/matmul/block_job.h"
#include "ops/matmul/scratch.h"

namespace corral::ops {
namespace {

// Multiply-adds below which a second thread costs more than it saves.
constexpr int64_t kSerialWork = 1 << 16;

int64_t padded(int64_t bytes) { return (bytes + 63) / 64 * 64; }

/// Finds the jobs whose rows of A are those of a job before. Returns the memory that the others
/// need.
int64_t share_rows(std::vector<BlockJob>& jobs) {
  int64_t bytes = 0;
  for (auto job = jobs.begin(); job != jobs.end(); ++job) {
    job->a_of =
        std::find_if(jobs.begin(), job, [&](const BlockJob& b) { return job->shares_a(b); }) -
        jobs.begin();
    if (&jobs[static_cast<size_t>(job->a_of)] == &*job) bytes += padded(job->a_bytes());
  }
  return bytes;
}

void quantize_rows(Device& device, std::vector<BlockJob>& jobs, std::byte* memory) {
  for (BlockJob& job : jobs) {
    const BlockJob& owner = jobs[static_cast<size_t>(job.a_of)];
    if (&owner != &job) {
      job.a = owner.a;
      continue;
    }
    job.place_a(std::exchange(memory, memory + padded(job.a_bytes())));
    job.quantize_a(device);
  }
}

/// The pieces of each thread. They lie side by side: it asks ahead for the next while it multiplies
/// one. Where B is read as it lies a thread has a part of every product, so that all have read as
/// much when they wait for one another; where it is unpacked as few products as can be, whose rows
/// of A stay in its caches.
class Shares {
 public:
  Shares(Device& device, const std::vector<BlockJob>& jobs, int64_t workers)
      : jobs_(jobs),
        workers_(workers),
        memory_(device, workers * static_cast<int64_t>(sizeof(Taken))) {
    const BlockJob& last = jobs.back();
    unpacked_ = last.unpacked_before + (last.unpacks ? last.pieces() : 0);
    for (int64_t w = 0; w < workers; ++w) std::construct_at(&taken(w));
  }
  /// Multiplies what nobody has taken yet of a thread's pieces.
  void finish(int64_t worker, std::byte* scratch) {
    std::atomic<int64_t>& next = taken(worker).pieces;
    int64_t before = 0;  // its pieces of the jobs before
    int64_t i = next++;
    for (const BlockJob& job : jobs_) {
      const int64_t first = first_piece(job, worker);
      const int64_t behind = before + first_piece(job, worker + 1) - first;
      for (; i < behind; i = next++) job.multiply(first + i - before, scratch);
      before = behind;
    }
  }

 private:
  struct alignas(64) Taken {
    std::atomic<int64_t> pieces{0};
  };

  Taken& taken(int64_t worker) const {
    return *(reinterpret_cast<Taken*>(memory_.data()) + worker);
  }
  int64_t first_piece(const BlockJob& job, int64_t worker) const {
    if (!job.unpacks) return job.pieces() * worker / workers_;
    const int64_t first = unpacked_ * worker / workers_ - job.unpacked_before;
    return std::clamp<int64_t>(first, 0, job.pieces());
  }

  const std::vector<BlockJob>& jobs_;
  int64_t workers_;
  int64_t unpacked_;
  Scratch memory_;
};

void run(Device& device, const std::vector<BlockJob>& jobs) {
  int64_t work = 0;
  int64_t pieces = 0;
  int64_t scratch_bytes = 0;
  for (const BlockJob& job : jobs) {
    pieces += job.pieces();
    work += job.m() * job.n() * job.groups() * kGroup;
    scratch_bytes = std::max(scratch_bytes, padded(job.scratch_bytes()));
  }
  const int64_t workers =
      work < kSerialWork ? 1 : std::min<int64_t>(device.threads().size(), pieces);
  std::optional<Scratch> scratch;
  if (scratch_bytes > 0) scratch.emplace(device, workers * scratch_bytes);
  Shares shares(device, jobs, workers);
  const auto multiply = [&](int member) {
    if (member >= workers) return;
    std::byte* const own = scratch ? scratch->data() + member * scratch_bytes : nullptr;
    // Who has done his own takes from the others.
    for (int64_t k = 0; k < workers; ++k) shares.finish((member + k) % workers, own);
  };
  if (workers == 1) {
    multiply(0);
  } else {
    device.threads().run(multiply);
  }
}

}  // namespace

void block_matmul(Device& device, std::span<const Product> products) {
  std::vector<BlockJob> jobs = block_jobs(device, products);
  if (jobs.empty()) return;
  const Scratch rows(device, share_rows(jobs));
  quantize_rows(device, jobs, rows.data());
  run(device, jobs);
}

}  // namespace corral::ops
