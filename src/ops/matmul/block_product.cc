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

// Rows of A for which B is read as it lies; more pay for unpacking it into panels.
constexpr int64_t kFewRows = 8;
// Rows of B of a piece: many pieces for an even load, few enough to be worth fetching.
constexpr int64_t kPieceColumns = 32;
// Multiply-adds, and values of A, below which a second thread costs more than it saves.
constexpr int64_t kSerialWork = 1 << 16;
constexpr int64_t kSerialValues = 1 << 15;

const BlockKernel& kernel_of(const BlockKernels& all, DType dtype) {
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

const BlockKernels& kernels_of(const Device& device) {
  return simd::choose(device.isa(), portable::kBlocks, avx2::kBlocks, avx512::kBlocks);
}

int64_t parts(int64_t whole, int64_t each) { return (whole + each - 1) / each; }

/// A quantized for a kernel, in memory of its own.
class QuantizedRows {
 public:
  QuantizedRows(Device& device, const BlockKernel& kernel, const MatrixView& a_MK)
      : kernel_(kernel), a_MK_(a_MK) {
    const int64_t groups = a_MK.cols / kGroup;
    const int64_t quads = a_MK.rows * parts(groups, kQuadGroups);
    const int64_t lanes = quads * kQuadGroups * static_cast<int64_t>(sizeof(float));
    memory_.emplace(device, quads * kQuad + lanes * (1 + 2 * kernel.halves));
    std::byte* at = memory_->data();
    const auto take = [&at](int64_t bytes) { return std::exchange(at, at + bytes); };
    rows_ = {.bytes = reinterpret_cast<int8_t*>(take(quads * kQuad)),
             .scales = reinterpret_cast<float*>(take(lanes)),
             .start = reinterpret_cast<int32_t*>(take(lanes * kernel.halves)),
             .sums = reinterpret_cast<float*>(take(lanes * kernel.halves))};
    const auto* x = static_cast<const float*>(a_MK.data);
    const int64_t grain = std::max<int64_t>(1, kSerialValues / std::max<int64_t>(1, a_MK.cols));
    device.threads().parallel_for(a_MK.rows, grain, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        kernel.quantize(x + row * a_MK.row_stride, groups, rows_, row);
      }
    });
  }
  const BlockRows& rows() const { return rows_; }

  /// Whether these are the rows that a product needs.
  bool serves(const BlockKernel& kernel, const MatrixView& a_MK) const {
    return &kernel == &kernel_ && a_MK.data == a_MK_.data && a_MK.rows == a_MK_.rows &&
           a_MK.cols == a_MK_.cols && a_MK.row_stride == a_MK_.row_stride;
  }

 private:
  const BlockKernel& kernel_;
  MatrixView a_MK_;
  std::optional<Scratch> memory_;
  BlockRows rows_{};
};

/// A product, its kernel, and the number of its first piece among all.
struct Job {
  const BlockKernel* kernel;
  BlockPiece whole;
  int64_t first;

  int64_t pieces() const { return parts(whole.n, kPieceColumns); }
  int64_t scratch_bytes() const {
    return whole.m <= kFewRows ? 0 : kernel->panel_scratch_bytes(whole.m);
  }
  void multiply(int64_t index, std::byte* scratch) const {
    BlockPiece piece = whole;
    const int64_t col = index * kPieceColumns;
    piece.b += col * whole.b_row_bytes;
    piece.c += col * whole.c_col_stride;
    piece.n = std::min(kPieceColumns, whole.n - col);
    if (whole.m <= kFewRows) {
      kernel->rows(piece);
    } else {
      kernel->panels(piece, scratch);
    }
  }
};

BlockPiece whole_piece(const Product& p, const BlockRows& a) {
  return {.a = a,
          .b = static_cast<const std::byte*>(p.b_NK.data),
          .b_row_bytes = bytes_of(p.b_NK.dtype, p.b_NK.row_stride),
          .c = p.c_MN.data,
          .c_row_stride = p.c_MN.row_stride,
          .c_col_stride = p.c_MN.col_stride,
          .m = p.c_MN.rows,
          .n = p.c_MN.cols,
          .groups = p.a_MK.cols / kGroup,
          .accumulate = p.accumulate};
}

/// All threads share all pieces.
void run(Device& device, const std::vector<Job>& jobs) {
  int64_t work = 0;
  int64_t scratch_bytes = 0;
  for (const Job& job : jobs) {
    work += job.whole.m * job.whole.n * job.whole.groups * kGroup;
    scratch_bytes = std::max(scratch_bytes, job.scratch_bytes());
  }
  const int64_t pieces = jobs.back().first + jobs.back().pieces();
  const int64_t workers =
      work < kSerialWork ? 1 : std::min<int64_t>(device.threads().size(), pieces);
  scratch_bytes = parts(scratch_bytes, 64) * 64;
  const Scratch scratch(device, std::max<int64_t>(64, workers * scratch_bytes));
  std::atomic<int64_t> next{0};
  const auto share = [&](int member) {
    if (member >= workers) return;
    std::byte* const own = scratch.data() + member * scratch_bytes;
    const Job* job = jobs.data();
    for (int64_t i = next++; i < pieces; i = next++) {
      while (i >= job->first + job->pieces()) ++job;
      job->multiply(i - job->first, own);
    }
  };
  if (workers == 1) {
    share(0);
  } else {
    device.threads().run(share);
  }
}

}  // namespace

void block_matmul(Device& device, std::span<const Product> products) {
  std::vector<std::unique_ptr<QuantizedRows>> rows;
  std::vector<Job> jobs;
  int64_t pieces = 0;
  for (const Product& p : products) {
    check(p);
    if (p.c_MN.rows == 0 || p.c_MN.cols == 0) continue;
    const BlockKernel& kernel = kernel_of(kernels_of(device), p.b_NK.dtype);
    auto a = std::find_if(rows.begin(), rows.end(),
                          [&](const auto& r) { return r->serves(kernel, p.a_MK); });
    if (a == rows.end()) {
      a = rows.insert(rows.end(), std::make_unique<QuantizedRows>(device, kernel, p.a_MK));
    }
    jobs.push_back({.kernel = &kernel, .whole = whole_piece(p, (*a)->rows()), .first = pieces});
    pieces += jobs.back().pieces();
  }
  if (!jobs.empty()) run(device, jobs);
}

}  // namespace corral::ops
