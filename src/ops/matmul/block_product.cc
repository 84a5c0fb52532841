#include "ops/matmul/block_product.h"

#include <algorithm>
#include <atomic>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "base/small_vector.h"
#include "ops/matmul/block_job.h"
#include "ops/matmul/joiner.h"
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

/// A product, or two whose results are joined. Pieces are numbered run by run of their columns, or,
/// where B is unpacked and reading it takes longest, product by product: then each asks ahead for
/// the next run of its own.
struct Task {
  std::span<const BlockJob> jobs;
  int64_t runs;
  int64_t pieces_of_run;
  int64_t pieces;
  int64_t runs_before;      // of the tasks before
  int64_t unpacked_before;  // pieces of the tasks before of which B is unpacked

  bool unpacks() const { return jobs.front().unpacks; }
  void multiply(int64_t index, std::byte* scratch, Joiner& joiner) const {
    const bool by_product = unpacks() && jobs.front().waits_for_b();
    const int64_t runs_each = by_product ? runs : 1;  // of a product before the next one's
    const int64_t first_run = index / (runs_each * pieces_of_run) * runs_each;
    int64_t piece = index - first_run * pieces_of_run;
    const BlockJob* job = jobs.data();
    for (; piece >= runs_each * job->pieces_of_run(); ++job) {
      piece -= runs_each * job->pieces_of_run();
    }
    const int64_t run = first_run + piece / job->pieces_of_run();
    job->multiply(run, piece % job->pieces_of_run(), scratch);
    joiner.ended(runs_before + run, *jobs.front().product, *jobs.back().product,
                 [&] { return job->area(run); });
  }
};
using Tasks = SmallVector<Task, 4>;

Tasks tasks_of(std::span<const BlockJob> jobs, size_t jobs_of_task) {
  Tasks tasks;
  Task task{};
  for (size_t i = 0; i < jobs.size(); i += jobs_of_task) {
    task.jobs = jobs.subspan(i, jobs_of_task);
    task.runs = task.jobs.front().runs();
    task.pieces_of_run = 0;
    for (const BlockJob& job : task.jobs) task.pieces_of_run += job.pieces_of_run();
    task.pieces = task.runs * task.pieces_of_run;
    tasks.push_back(task);
    task.runs_before += task.runs;
    if (task.unpacks()) task.unpacked_before += task.pieces;
  }
  return tasks;
}

/// The pieces of each thread. They lie side by side: it asks ahead for the next while it multiplies
/// one. Where B is read as it lies a thread has a part of every task, so that all have read as much
/// when they wait for one another; where it is unpacked as few tasks as can be, whose rows of A
/// stay in its caches.
class Shares {
 public:
  Shares(Device& device, const Tasks& tasks, int64_t workers)
      : tasks_(tasks),
        workers_(workers),
        memory_(device, workers * static_cast<int64_t>(sizeof(Taken))) {
    const Task& last = tasks.back();
    unpacked_ = last.unpacked_before + (last.unpacks() ? last.pieces : 0);
    for (int64_t w = 0; w < workers; ++w) {
      Taken& of_worker = *std::construct_at(&taken(w));
      for (const Task& task : tasks) {
        of_worker.all += first_piece(task, w + 1) - first_piece(task, w);
      }
    }
  }
  /// Multiplies what nobody has taken yet of a thread's pieces.
  void finish(int64_t worker, std::byte* scratch, Joiner& joiner) {
    Taken& of_worker = taken(worker);
    int64_t before = 0;  // its pieces of the tasks before
    int64_t i = of_worker.next();
    for (const Task& task : tasks_) {
      const int64_t first = first_piece(task, worker);
      const int64_t behind = before + first_piece(task, worker + 1) - first;
      for (; i < behind; i = of_worker.next()) task.multiply(first + i - before, scratch, joiner);
      before = behind;
    }
  }

 private:
  struct alignas(64) Taken {
    std::atomic<int64_t> pieces{0};
    int64_t all = 0;

    /// The next piece, `all` of them if there is none. Only who takes one writes.
    int64_t next() {
      if (pieces.load(std::memory_order_relaxed) >= all) return all;
      return std::min(pieces.fetch_add(1, std::memory_order_relaxed), all);
    }
  };

  Taken& taken(int64_t worker) const {
    return *(reinterpret_cast<Taken*>(memory_.data()) + worker);
  }
  int64_t first_piece(const Task& task, int64_t worker) const {
    if (!task.unpacks()) return task.pieces * worker / workers_;
    const int64_t first = unpacked_ * worker / workers_ - task.unpacked_before;
    return std::clamp<int64_t>(first, 0, task.pieces);
  }

  const Tasks& tasks_;
  int64_t workers_;
  int64_t unpacked_;
  Scratch memory_;
};

/// Asks for what another thread has just written, all lines of it at once.
template <class T>
void fetch(const T* values, size_t count) {
  const auto* at = reinterpret_cast<const std::byte*>(values);
  for (size_t i = 0; i < count * sizeof(T); i += 64) __builtin_prefetch(at + i);
}

void run(Device& device, const std::vector<BlockJob>& jobs, const JoinResults* join) {
  int64_t work = 0;
  int64_t scratch_bytes = 0;
  for (const BlockJob& job : jobs) {
    work += job.m() * job.n() * job.groups() * kGroup;
    scratch_bytes = std::max(scratch_bytes, padded(job.scratch_bytes()));
  }
  const Tasks tasks = tasks_of(jobs, products_of_task(join));
  int64_t pieces = 0;
  for (const Task& task : tasks) pieces += task.pieces;
  Joiner joiner(device, join, tasks.back().runs_before + tasks.back().runs);
  for (const Task& task : tasks) {
    for (int64_t i = 0; i < task.runs; ++i) {
      joiner.expect(task.runs_before + i, static_cast<int32_t>(task.pieces_of_run));
    }
  }
  const int64_t workers =
      work < kSerialWork ? 1 : std::min<int64_t>(device.threads().size(), pieces);
  std::optional<Scratch> scratch;
  if (scratch_bytes > 0) scratch.emplace(device, workers * scratch_bytes);
  Shares shares(device, tasks, workers);
  const auto multiply = [&](int member) {
    if (member >= workers) return;
    if (member != 0) {
      fetch(&tasks, 1);
      fetch(jobs.data(), jobs.size());
      fetch(jobs.front().product, jobs.size());
    }
    std::byte* const own = scratch ? scratch->data() + member * scratch_bytes : nullptr;
    // Who has done his own takes from the others.
    for (int64_t k = 0; k < workers; ++k) shares.finish((member + k) % workers, own, joiner);
  };
  if (workers == 1) {
    multiply(0);
  } else {
    device.threads().run(multiply);
  }
}

/// What a call reads that waits for nothing but B: of single rows of A. 0 where it also has others.
int64_t bytes_only_read(const std::vector<BlockJob>& jobs) {
  int64_t bytes = 0;
  for (const BlockJob& job : jobs) {
    if (job.m() > 1) return 0;
    bytes += job.b_bytes();
  }
  return bytes;
}

}  // namespace

void block_matmul(Device& device, std::span<const Product> products, const JoinResults* join) {
  std::vector<BlockJob> jobs = block_jobs(device, products, products_of_task(join));
  if (jobs.empty()) return;
  const Scratch rows(device, share_rows(jobs));
  quantize_rows(device, jobs, rows.data());
  const ReadAhead::Call reading(device.read_ahead(), bytes_only_read(jobs));
  for (BlockJob& job : jobs) job.reach = reading.reach();
  run(device, jobs, join);
}

}  // namespace corral::ops
