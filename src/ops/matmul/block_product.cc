#include "ops/matmul/block_product.h"

#include <algorithm>
#include <atomic>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "base/error.h"
#include "ops/matmul/block_kernel.h"
#include "ops/matmul/scratch.h"
#include "simd/isa.h"

namespace corral::ops {
namespace {

// Rows of A up to which reading B takes longest.
constexpr int64_t kRowsThatWait = 8;
// Where B is read as it lies a thread has one run of rows, which it reads as streams from end to
// end: where they begin it waits for memory. A piece is a stretch of all of them, of so many bytes.
constexpr int64_t kStretchBytes = int64_t{1} << 18;
// Where B is unpacked a piece is a run of panels. Of so many bytes where reading takes longest:
// with fewer a thread waits too often, for which each piece begins anew. Else many a thread, for an
// even load.
constexpr int64_t kPieceColumns = 32;
constexpr int64_t kPieceBytes = int64_t{1} << 19;
constexpr int64_t kPiecesOfThread = 16;
// Multiply-adds, and values of A, below which a second thread costs more than it saves.
constexpr int64_t kSerialWork = 1 << 16;
constexpr int64_t kSerialValues = 1 << 15;

/// What `all` has for a format.
template <class T>
const T& of_format(const OfBlocks<T>& all, DType dtype) {
  switch (dtype) {
    case DType::kQ8_0:
      return all.q8_0;
    case DType::kQ4_0:
      return all.q4_0;
    case DType::kQ4_1:
      return all.q4_1;
    case DType::kQ5_0:
      return all.q5_0;
    case DType::kQ5_1:
      return all.q5_1;
    case DType::kIQ4_NL:
      return all.iq4_nl;
    case DType::kMXFP4:
      return all.mxfp4;
    case DType::kQ2_K:
      return all.q2_k;
    case DType::kQ3_K:
      return all.q3_k;
    case DType::kQ4_K:
      return all.q4_k;
    case DType::kQ5_K:
      return all.q5_k;
    case DType::kQ6_K:
      return all.q6_k;
    case DType::kIQ4_XS:
      return all.iq4_xs;
    default:
      throw NotSupported(str("matmul: no product with ", dtype, " matrices"));
  }
}

void check(const Product& p) {
  if (!is_block(p.b_NK.dtype) || p.b_NK.col_stride != 1 || p.a_MK.dtype != DType::kF32 ||
      p.a_MK.col_stride != 1) {
    throw NotSupported(str("matmul: no product of ", p.a_MK.dtype, " and ", p.b_NK.dtype,
                           " matrices in this layout"));
  }
}

int64_t parts(int64_t whole, int64_t each) { return (whole + each - 1) / each; }

const BlockKernels& kernels_of(simd::Isa isa) {
  return simd::choose<simd::Isa::kAvxVnni, simd::Isa::kDotprod>(
      isa, portable::kBlocks, avx2::kBlocks, avx512::kBlocks, avx_vnni::kBlocks, dotprod::kBlocks);
}

/// The kernel of a product, and whether it reads B as it lies or unpacks it.
struct Choice {
  BlockKernel kernel;
  bool unpacks;
};
/// With AMX, the kernel of AVX-512 for very few rows and tiles for more.
Choice kernel_of(const Device& device, const Product& p) {
  const DType dtype = p.b_NK.dtype;
  const int64_t m = p.c_MN.rows;
  BlockKernel kernel = of_format(kernels_of(device.isa()), dtype);
  if (p.b_NK.interleaving) {
    kernel.rows = kernel.interleaved.rows;
    kernel.few_rows = kernel.interleaved.few_rows;
    kernel.panels.multiply = kernel.interleaved.multiply;
    return {kernel, m > kernel.few_rows};
  }
#if defined(__x86_64__)
  if (device.isa() == simd::Isa::kAmx) {
    const TileKernels& tiles = of_format(amx::kTileKernels, dtype);
    kernel.panels = tiles.panels;
    kernel.few_rows = kRowsThatWait;
    if (tiles.takes_pairs(m, p.a_MK.cols / kGroup)) {
      kernel.panels = tiles.pairs;
      return {kernel, true};
    }
  }
#endif
  return {kernel, m > kernel.few_rows};
}

/// A product, its kernel, and the number of its first piece among all.
struct Job {
  const Product* product;
  BlockKernel kernel;
  bool unpacks;
  BlockRows a;
  std::ptrdiff_t a_of;  // the first job with the same rows of A
  int64_t run_columns;
  int64_t stretches;  // the pieces of a run of columns
  int64_t first;

  int64_t m() const { return product->c_MN.rows; }
  int64_t n() const { return product->c_MN.cols; }
  int64_t groups() const { return product->a_MK.cols / kGroup; }
  int64_t quads() const { return parts(groups(), kQuadGroups); }
  int64_t pieces() const { return parts(n(), run_columns) * stretches; }
  int64_t scratch_bytes() const { return unpacks ? kernel.panels.scratch_bytes(m(), quads()) : 0; }

  /// Chooses the pieces for so many threads.
  void cut(int64_t threads) {
    const MatrixView& b = product->b_NK;
    const int64_t panels = parts(n(), kPieceColumns);
    const int64_t thread_bytes = n() * bytes_of(b.dtype, b.row_stride) / threads;
    if (!unpacks) {
      run_columns = kPieceColumns * parts(panels, threads);
      stretches = std::max<int64_t>(1, thread_bytes / kStretchBytes);
    } else if (m() <= kRowsThatWait) {
      const int64_t each = std::max<int64_t>(1, thread_bytes / kPieceBytes);
      run_columns = kPieceColumns * parts(panels, threads * each);
    } else {
      run_columns = kPieceColumns * std::max<int64_t>(1, panels / (threads * kPiecesOfThread));
    }
  }

  /// Whether both multiply the same rows of A.
  bool shares_a(const Job& other) const {
    const MatrixView& x = product->a_MK;
    const MatrixView& y = other.product->a_MK;
    return kernel.quantize == other.kernel.quantize && unpacks == other.unpacks &&
           kernel.panels.form == other.kernel.panels.form &&
           kernel.panels.tile_rows == other.kernel.panels.tile_rows && x.data == y.data &&
           x.rows == y.rows && x.cols == y.cols && x.row_stride == y.row_stride;
  }
  /// Memory of A as bytes, with its sums and scales, and room behind for tiles that read whole
  /// vectors of them.
  int64_t a_bytes() const {
    return order().places() * quads() * (quad_bytes() + lane_bytes() * (1 + 2 * kernel.halves)) +
           m() * static_cast<int64_t>(sizeof(float)) + kBehind;
  }
  void place_a(std::byte* at) {
    const int64_t all = order().places() * quads();
    const auto take = [&at](int64_t bytes) { return std::exchange(at, at + bytes); };
    a = {.bytes = reinterpret_cast<int8_t*>(take(all * quad_bytes())),
         .scales = reinterpret_cast<float*>(take(all * lane_bytes())),
         .start = reinterpret_cast<int32_t*>(take(all * lane_bytes() * kernel.halves)),
         .sums = reinterpret_cast<float*>(take(all * lane_bytes() * kernel.halves)),
         .zeros = reinterpret_cast<float*>(take(m() * static_cast<int64_t>(sizeof(float)))),
         .order = order()};
  }
  void quantize_a(Device& device) const {
    const auto grain = [](int64_t values) {
      return std::max<int64_t>(1, kSerialValues / std::max<int64_t>(1, values));
    };
    const int64_t row_values = product->a_MK.cols;
    if (!a.order.of_lanes()) {
      device.threads().parallel_for(m(), grain(row_values), [&](int64_t begin, int64_t end) {
        quantize_rows(begin, end, a);
      });
      return;
    }
    device.threads().parallel_for(
        a.order.tiles(), grain(a.order.tile_rows * row_values), [&](int64_t begin, int64_t end) {
          const Scratch scratch(device, a.order.tile_rows * quads() * kQuad);
          BlockRows tile_rows = a;
          tile_rows.bytes = reinterpret_cast<int8_t*>(scratch.data());
          for (int64_t tile = begin; tile < end; ++tile) {
            quantize_rows(a.order.first_row(tile), a.order.first_row(tile + 1), tile_rows);
            kernel.panels.arrange(tile_rows.bytes, a, tile);
          }
        });
  }
  void quantize_rows(int64_t begin, int64_t end, const BlockRows& to) const {
    const MatrixView& x = product->a_MK;
    const auto* from = static_cast<const float*>(x.data);
    for (int64_t row = begin; row < end; ++row) {
      kernel.quantize(from + row * x.row_stride, groups(), to, row);
    }
  }

  /// Zeros in the places of a tile that have no row: what happens to lie there may be numbers too
  /// small for the processor to multiply fast.
  void clear_places_behind() const {
    for (int64_t row = m(); row < a.order.places(); ++row) {
      const RowPlaces scales = a.order.places_of(row, 1);
      const RowPlaces sums = a.order.places_of(row, kernel.halves);
      for (int64_t quad = 0; quad < quads(); ++quad) {
        for (int64_t g = 0; g < kQuadGroups; ++g) {
          a.scales[scales.at(quad, 0, g)] = 0;
          for (int64_t h = 0; h < kernel.halves; ++h) a.sums[sums.at(quad, h, g)] = 0;
        }
      }
    }
  }

  void multiply(int64_t index, std::byte* scratch) const {
    const MatrixView& b = product->b_NK;
    const MutableMatrix& c = product->c_MN;
    const int64_t col = index / stretches * run_columns;
    const int64_t row_bytes = bytes_of(b.dtype, b.row_stride);
    const BlockPiece piece = {.a = a,
                              .b = static_cast<const std::byte*>(b.data) + col * row_bytes,
                              .b_row_bytes = row_bytes,
                              .c = c.data + col * c.col_stride,
                              .c_row_stride = c.row_stride,
                              .c_col_stride = c.col_stride,
                              .m = m(),
                              .n = std::min(run_columns, n() - col),
                              .stretch = index % stretches,
                              .stretches = stretches,
                              .groups = groups(),
                              .accumulate = product->accumulate};
    if (unpacks) {
      kernel.panels.multiply(piece, scratch);
    } else {
      kernel.rows(piece);
    }
  }

 private:
  static constexpr int64_t kBehind = 128;
  RowOrder order() const {
    return {.rows = m(),
            .quads = quads(),
            .form = unpacks ? kernel.panels.form : RowForm::kRows,
            .tile_rows = kernel.panels.tile_rows};
  }
  int64_t quad_bytes() const { return unpacks ? kernel.panels.quad_bytes : kQuad; }
  static constexpr int64_t lane_bytes() {
    return kQuadGroups * static_cast<int64_t>(sizeof(float));
  }
};

/// The jobs of the products that have something to write.
std::vector<Job> jobs_of(Device& device, std::span<const Product> products) {
  std::vector<Job> jobs;
  jobs.reserve(products.size());
  int64_t pieces = 0;
  for (const Product& p : products) {
    check(p);
    if (p.c_MN.rows == 0 || p.c_MN.cols == 0) continue;
    const Choice choice = kernel_of(device, p);
    Job job = {.product = &p,
               .kernel = choice.kernel,
               .unpacks = choice.unpacks,
               .a = {},
               .a_of = 0,
               .run_columns = 0,
               .stretches = 1,
               .first = pieces};
    job.cut(device.threads().size());
    pieces += job.pieces();
    jobs.push_back(job);
  }
  return jobs;
}

int64_t padded(int64_t bytes) { return parts(bytes, 64) * 64; }

/// Finds the jobs whose rows of A are those of a job before. Returns the memory that the others
/// need.
int64_t share_rows(std::vector<Job>& jobs) {
  int64_t bytes = 0;
  for (auto job = jobs.begin(); job != jobs.end(); ++job) {
    job->a_of = std::find_if(jobs.begin(), job, [&](const Job& b) { return job->shares_a(b); }) -
                jobs.begin();
    if (&jobs[static_cast<size_t>(job->a_of)] == &*job) bytes += padded(job->a_bytes());
  }
  return bytes;
}

void quantize_rows(Device& device, std::vector<Job>& jobs, std::byte* memory) {
  for (Job& job : jobs) {
    const Job& owner = jobs[static_cast<size_t>(job.a_of)];
    if (&owner != &job) {
      job.a = owner.a;
      continue;
    }
    job.place_a(std::exchange(memory, memory + padded(job.a_bytes())));
    job.quantize_a(device);
    job.clear_places_behind();
  }
}

/// The pieces of a thread, which lie side by side: it asks ahead for the next while it multiplies
/// one. Who has done his own takes from the others.
struct alignas(64) Share {
  Share(int64_t first, int64_t behind) : next(first), end(behind) {}
  std::atomic<int64_t> next;
  int64_t end;
};

class Shares {
 public:
  Shares(Device& device, int64_t workers, int64_t pieces)
      : workers_(workers), memory_(device, workers * static_cast<int64_t>(sizeof(Share))) {
    for (int64_t w = 0; w < workers; ++w) {
      std::construct_at(at(w), pieces * w / workers, pieces * (w + 1) / workers);
    }
  }
  /// f(share) of every share, beginning with that of `member`.
  template <class F>
  void each_from(int64_t member, const F& f) {
    for (int64_t k = 0; k < workers_; ++k) f(*at((member + k) % workers_));
  }

 private:
  Share* at(int64_t w) const { return reinterpret_cast<Share*>(memory_.data()) + w; }

  int64_t workers_;
  Scratch memory_;
};

void run(Device& device, const std::vector<Job>& jobs) {
  int64_t work = 0;
  int64_t scratch_bytes = 0;
  for (const Job& job : jobs) {
    work += job.m() * job.n() * job.groups() * kGroup;
    scratch_bytes = std::max(scratch_bytes, padded(job.scratch_bytes()));
  }
  const int64_t pieces = jobs.back().first + jobs.back().pieces();
  const int64_t workers =
      work < kSerialWork ? 1 : std::min<int64_t>(device.threads().size(), pieces);
  std::optional<Scratch> scratch;
  if (scratch_bytes > 0) scratch.emplace(device, workers * scratch_bytes);
  Shares shares(device, workers, pieces);
  const auto multiply = [&](int member) {
    if (member >= workers) return;
    std::byte* const own = scratch ? scratch->data() + member * scratch_bytes : nullptr;
    shares.each_from(member, [&](Share& share) {
      const Job* job = jobs.data();
      for (int64_t i = share.next++; i < share.end; i = share.next++) {
        while (i >= job->first + job->pieces()) ++job;
        job->multiply(i - job->first, own);
      }
    });
  };
  if (workers == 1) {
    multiply(0);
  } else {
    device.threads().run(multiply);
  }
}

}  // namespace

Arithmetic arithmetic_of_blocks(DType dtype) {
  return of_format(portable::kBlocks, dtype).wide ? Arithmetic::kInt8 : Arithmetic::kInt4;
}

quant::Interleaving interleaving_of_blocks(simd::Isa isa, DType dtype) {
  // In the tiles of AMX rows are multiplied from other places.
  if (isa == simd::Isa::kAmx) return {};
  const InterleavedKernels& kernels = of_format(kernels_of(isa), dtype).interleaved;
  return {.rows = kernels.columns, .unsigned_codes = kernels.unsigned_codes};
}

void block_matmul(Device& device, std::span<const Product> products) {
  std::vector<Job> jobs = jobs_of(device, products);
  if (jobs.empty()) return;
  const Scratch rows(device, share_rows(jobs));
  quantize_rows(device, jobs, rows.data());
  run(device, jobs);
}

}  // namespace corral::ops
