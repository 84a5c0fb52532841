#include "ops/matmul/float_product.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <memory>
#include <utility>

#include "base/error.h"
#include "ops/matmul/joiner.h"
#include "ops/matmul/matmul_kernel.h"
#include "ops/matmul/scratch.h"

namespace corral::ops {
namespace {

// Multiply-adds below which a second thread costs more than it saves.
constexpr double kSerialWork = 1 << 15;
// Rows (or columns) of a piece that pay for packing the other factor anew.
constexpr double kWorthPacking = 512;
// Pieces for each thread, when they are worth it: a thread that is late leaves some to the others.
constexpr double kMostPieces = 4;

Element element_of(const MatrixView& view) {
  switch (view.dtype) {
    case DType::kF32:
      return Element::kF32;
    case DType::kF16:
      return Element::kF16;
    case DType::kBF16:
      return Element::kBF16;
    default:
      throw NotSupported(str("matmul: no product of ", view.dtype, " matrices"));
  }
}

int64_t part_count(int64_t whole, int64_t grain) { return (whole + grain - 1) / grain; }

double work_of(const Product& p) {
  return static_cast<double>(p.c_MN.rows) * static_cast<double>(p.c_MN.cols) *
         static_cast<double>(p.a_MK.cols);
}

/// `alone`: no other product has to be cut like it.
Piece whole_piece(const Product& p, quant::Precision precision, bool alone) {
  const auto factor = [](const MatrixView& view) {
    return Factor{view.data,       element_of(view), view.row_stride,
                  view.col_stride, view.rows,        view.interleaving.rows};
  };
  Piece piece{.a = factor(p.a_MK),
              .b = factor(p.b_NK),
              .c = p.c_MN.data,
              .c_row_stride = p.c_MN.row_stride,
              .c_col_stride = p.c_MN.col_stride,
              .m = p.c_MN.rows,
              .n = p.c_MN.cols,
              .k = p.a_MK.cols,
              .accumulate = p.accumulate,
              .bf16 = precision == quant::Precision::kBF16};
  // Tiles are stored along the columns of C; the exchanged product is the same chains of the same
  // multiply-adds.
  if (alone && piece.c_col_stride != 1 && piece.c_row_stride == 1 && piece.b.interleaved == 0) {
    std::swap(piece.a, piece.b);
    std::swap(piece.m, piece.n);
    std::swap(piece.c_row_stride, piece.c_col_stride);
    piece.exchanged = true;
  }
  return piece;
}

/// How a product is cut: `rows` times `cols` pieces, of which the last may be shorter.
struct Cut {
  int64_t rows = 1;
  int64_t cols = 1;
  int64_t rows_each = 0;
  int64_t cols_each = 0;

  int64_t pieces() const { return rows * cols; }
};

/// How many pieces to cut a product into that is this share of all the work: one for each of its
/// threads, and more where they are worth it and the other products do not bring enough.
int64_t piece_count(const Piece& p, double share, int threads) {
  const double even = std::ceil(share * threads);
  const double spare = std::floor(static_cast<double>(std::max(p.m, p.n)) / (even * kWorthPacking));
  return static_cast<int64_t>(
      std::min(even * std::max(spare, 1.0), std::ceil(share * threads * kMostPieces)));
}

// Every cut along rows packs all of B once more, every cut along columns all of A: the longer side
// is cut first.
Cut cut(const Piece& p, int64_t lanes, int64_t pieces, const MatmulKernel& kernel) {
  const int64_t most_rows = part_count(p.m, kernel.tile_rows);
  const int64_t most_cols = part_count(p.n, lanes);
  Cut cut;
  if (p.m > p.n) {
    cut.rows = std::min(pieces, most_rows);
    cut.cols = std::min(part_count(pieces, cut.rows), most_cols);
  } else {
    cut.cols = std::min(pieces, most_cols);
    cut.rows = std::min(part_count(pieces, cut.cols), most_rows);
  }
  cut.rows_each = part_count(most_rows, cut.rows) * kernel.tile_rows;
  cut.cols_each = part_count(most_cols, cut.cols) * lanes;
  cut.rows = part_count(p.m, cut.rows_each);
  cut.cols = part_count(p.n, cut.cols_each);
  return cut;
}

Piece piece_at(const Piece& whole, const Cut& cut, int64_t index) {
  const int64_t row = index / cut.cols * cut.rows_each;
  const int64_t col = index % cut.cols * cut.cols_each;
  const auto at = [](Factor& factor, int64_t rows) {
    const int64_t width = factor.element == Element::kF32 ? 4 : 2;
    factor.data = static_cast<const std::byte*>(factor.data) + rows * factor.row_stride * width;
  };
  Piece piece = whole;
  at(piece.a, row);
  at(piece.b, col);
  piece.c += row * whole.c_row_stride + col * whole.c_col_stride;
  piece.m = std::min(cut.rows_each, whole.m - row);
  piece.n = std::min(cut.cols_each, whole.n - col);
  return piece;
}

void zero(const MutableMatrix& c) {
  for (int64_t i = 0; i < c.rows; ++i) {
    for (int64_t j = 0; j < c.cols; ++j) c.data[i * c.row_stride + j * c.col_stride] = 0;
  }
}

const MatmulKernel& kernel_of(simd::Isa isa) {
  return simd::choose<simd::Isa::kAvx512Bf16, simd::Isa::kAmx>(
      isa, portable::kMatmul, avx2::kMatmul, avx512::kMatmul, avx512_bf16::kMatmul, amx::kMatmul);
}

/// Whether there is something to multiply, in one product or in two that are joined; where there
/// are only empty sums they are written.
bool has_work(std::span<const Product> products, const JoinResults* join) {
  const Product& first = products.front();
  if (first.c_MN.rows == 0 || first.c_MN.cols == 0) return false;
  if (first.a_MK.cols != 0) return true;
  for (const Product& p : products) {
    if (!p.accumulate) zero(p.c_MN);
  }
  if (join != nullptr) (*join)(first, products.back(), whole_area(first));
  return false;
}

/// Each product in one piece on this thread.
void multiply_serially(Device& device, const MatmulKernel& kernel,
                       std::span<const Product> products, quant::Precision precision,
                       const JoinResults* join) {
  const size_t each = products_of_task(join);
  for (size_t i = 0; i < products.size(); i += each) {
    const std::span<const Product> task = products.subspan(i, each);
    if (!has_work(task, join)) continue;
    for (const Product& p : task) {
      const Piece piece = whole_piece(p, precision, each == 1);
      const Scratch scratch(device, kernel.scratch_bytes(piece));
      kernel.multiply(piece, scratch.data());
    }
    if (join != nullptr) (*join)(task.front(), task.back(), whole_area(task.front()));
  }
}

/// A product, or two that are joined, with the numbers of its first piece and of its first area
/// among all. Pieces are numbered area by area.
struct Job {
  std::span<const Product> products;
  std::array<Piece, kMostOfTask> wholes;
  Cut cut;
  int64_t first;
  int64_t first_area;

  int64_t each() const { return std::ssize(products); }
  int64_t pieces() const { return cut.pieces() * each(); }
  /// The piece `index`.
  Piece piece(int64_t index) const {
    return piece_at(wholes[static_cast<size_t>(index % each())], cut, index / each());
  }
  /// The area of a piece of two products.
  Area area(const Piece& piece, int64_t index) const {
    const int64_t at = index / each();
    return {at / cut.cols * cut.rows_each, piece.m, at % cut.cols * cut.cols_each, piece.n};
  }
};

Job job_of(std::span<const Product> products, quant::Precision precision, double share,
           const MatmulKernel& kernel, int threads) {
  Job job{.products = products, .wholes = {}, .cut = {}, .first = 0, .first_area = 0};
  int64_t lanes = kernel.lanes;
  for (size_t i = 0; i < products.size(); ++i) {
    job.wholes[i] = whole_piece(products[i], precision, products.size() == 1);
    lanes = std::max(lanes, job.wholes[i].b.interleaved);
  }
  const Piece& whole = job.wholes.front();
  job.cut = cut(whole, lanes, piece_count(whole, share, threads), kernel);
  return job;
}

}  // namespace

void float_matmul(Device& device, std::span<const Product> products, quant::Precision precision,
                  const JoinResults* join) {
  const MatmulKernel& kernel = kernel_of(device.isa());
  const int threads = device.threads().size();
  double total = 0;
  if (threads > 1) {
    for (const Product& p : products) total += work_of(p);
  }
  if (total < kSerialWork) return multiply_serially(device, kernel, products, precision, join);

  const size_t each = products_of_task(join);
  const Scratch list(device, static_cast<int64_t>(sizeof(Job) * products.size() / each));
  auto* const jobs = reinterpret_cast<Job*>(list.data());
  int64_t count = 0;
  int64_t pieces = 0;
  int64_t areas = 0;
  int64_t scratch_bytes = 0;
  for (size_t i = 0; i < products.size(); i += each) {
    const std::span<const Product> task = products.subspan(i, each);
    if (!has_work(task, join)) continue;
    Job job = job_of(task, precision, work_of(task.front()) / total, kernel, threads);
    job.first = std::exchange(pieces, pieces + job.pieces());
    job.first_area = std::exchange(areas, areas + job.cut.pieces());
    for (size_t p = 0; p < each; ++p) {
      scratch_bytes =
          std::max(scratch_bytes, kernel.scratch_bytes(piece_at(job.wholes[p], job.cut, 0)));
    }
    std::construct_at(jobs + count++, job);
  }
  if (pieces == 0) return;

  Joiner joiner(device, join, areas);
  for (int64_t i = 0; i < areas; ++i) joiner.expect(i, kMostOfTask);
  const int64_t workers = std::min<int64_t>(threads, pieces);
  const Scratch scratch(device, workers * scratch_bytes);
  std::atomic<int64_t> next{0};
  const auto work = [&](int member) {
    if (member >= workers) return;
    std::byte* const own = scratch.data() + member * scratch_bytes;
    const Job* job = jobs;
    for (int64_t i = next++; i < pieces; i = next++) {
      while (i >= job->first + job->pieces()) ++job;
      const int64_t index = i - job->first;
      const Piece piece = job->piece(index);
      kernel.multiply(piece, own);
      joiner.ended(job->first_area + index / job->each(), job->products.front(),
                   job->products.back(), [&] { return job->area(piece, index); });
    }
  };
  if (workers == 1) {
    work(0);
  } else {
    device.threads().run(work);
  }
}

quant::Interleaving interleaving_of_floats(simd::Isa isa, DType dtype) {
  if (dtype != DType::kF32 && dtype != DType::kBF16) return {};
  return {.rows = kernel_of(isa).interleaved};
}

}  // namespace corral::ops
