#include "ops/matmul/block_job.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "ops/matmul/block_product.h"
#include "ops/matmul/scratch.h"
#include "simd/isa.h"

namespace corral::ops {
namespace {

// Rows of A up to which reading B takes longest.
constexpr int64_t kRowsThatWait = 8;
// Where B is read as it lies a thread has one run of rows, which it reads as streams from end to
// end: where they begin it waits for memory, and at the end of every piece for what it has asked
// for. A piece is a stretch of all streams, of so many bytes.
constexpr int64_t kStretchBytes = int64_t{1} << 22;
// Threads do not end together: the last stretch is cut into halves of what is left, if it has so
// many bytes, of at least so many each.
constexpr int64_t kTaperedBytes = int64_t{1} << 20;
constexpr int64_t kLeastBytes = int64_t{1} << 17;
// Where B is unpacked a piece is a run of panels. Of so many bytes where reading takes longest:
// with fewer a thread waits too often, for which each piece begins anew. Else many a thread, for an
// even load.
constexpr int64_t kPieceColumns = 32;
constexpr int64_t kPieceBytes = int64_t{1} << 19;
constexpr int64_t kPiecesOfThread = 16;
// Values of A below which a second thread costs more than it saves.
constexpr int64_t kSerialValues = 1 << 15;
// Room behind A for tiles that read whole vectors.
constexpr int64_t kBehind = 128;
constexpr int64_t kLaneBytes = kQuadGroups * static_cast<int64_t>(sizeof(float));

int64_t parts(int64_t whole, int64_t each) { return (whole + each - 1) / each; }

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

const BlockKernels& kernels_of(simd::Isa isa) {
  return simd::choose<simd::Isa::kAvxVnni, simd::Isa::kAvx512Bf16, simd::Isa::kDotprod>(
      isa, portable::kBlocks, avx2::kBlocks, avx512::kBlocks, avx_vnni::kBlocks,
      avx512_bf16::kBlocks, dotprod::kBlocks);
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

}  // namespace

bool BlockJob::waits_for_b() const { return m() <= kRowsThatWait; }

int64_t BlockJob::b_bytes() const {
  const MatrixView& b = product->b_NK;
  return n() * bytes_of(b.dtype, b.row_stride);
}

int64_t BlockJob::run_bytes() const {
  const MatrixView& b = product->b_NK;
  return std::min(run_columns, n()) * bytes_of(b.dtype, b.row_stride);
}

int64_t BlockJob::columns_of_run(int64_t threads) const {
  const int64_t panels = parts(n(), kPieceColumns);
  if (!unpacks) return kPieceColumns * parts(panels, threads);
  if (!waits_for_b()) {
    return kPieceColumns * std::max<int64_t>(1, panels / (threads * kPiecesOfThread));
  }
  const int64_t each = std::max<int64_t>(1, b_bytes() / threads / kPieceBytes);
  return kPieceColumns * parts(panels, threads * each);
}

void BlockJob::cut(int64_t threads, const BlockJob* joined) {
  run_columns = joined != nullptr ? joined->run_columns : columns_of_run(threads);
  if (!unpacks) stretches = std::max<int64_t>(1, run_bytes() / kStretchBytes);
}

bool BlockJob::shares_a(const BlockJob& other) const {
  const MatrixView& x = product->a_MK;
  const MatrixView& y = other.product->a_MK;
  return kernel.quantize == other.kernel.quantize && unpacks == other.unpacks &&
         kernel.panels.form == other.kernel.panels.form &&
         kernel.panels.tile_rows == other.kernel.panels.tile_rows && x.data == y.data &&
         x.rows == y.rows && x.cols == y.cols && x.row_stride == y.row_stride;
}

int64_t BlockJob::a_bytes() const {
  return order().places() * quads() * (quad_bytes() + kLaneBytes * (1 + 2 * kernel.halves)) +
         m() * static_cast<int64_t>(sizeof(float)) + kBehind;
}

void BlockJob::place_a(std::byte* at) {
  const int64_t all = order().places() * quads();
  const auto take = [&at](int64_t bytes) { return std::exchange(at, at + bytes); };
  a = {.bytes = reinterpret_cast<int8_t*>(take(all * quad_bytes())),
       .scales = reinterpret_cast<float*>(take(all * kLaneBytes)),
       .start = reinterpret_cast<int32_t*>(take(all * kLaneBytes * kernel.halves)),
       .sums = reinterpret_cast<float*>(take(all * kLaneBytes * kernel.halves)),
       .zeros = reinterpret_cast<float*>(take(m() * static_cast<int64_t>(sizeof(float)))),
       .order = order()};
}

void BlockJob::quantize_a(Device& device) const {
  const auto grain = [](int64_t values) {
    return std::max<int64_t>(1, kSerialValues / std::max<int64_t>(1, values));
  };
  const int64_t row_values = product->a_MK.cols;
  if (!a.order.of_lanes()) {
    device.threads().parallel_for(
        m(), grain(row_values), [&](int64_t begin, int64_t end) { quantize_rows(begin, end, a); });
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
  clear_places_behind();
}

void BlockJob::quantize_rows(int64_t begin, int64_t end, const BlockRows& to) const {
  const MatrixView& x = product->a_MK;
  const auto* from = static_cast<const float*>(x.data);
  for (int64_t row = begin; row < end; ++row) {
    kernel.quantize(from + row * x.row_stride, groups(), to, row);
  }
}

/// Zeros in the places of a tile that have no row: what happens to lie there may be numbers too
/// small for the processor to multiply fast.
void BlockJob::clear_places_behind() const {
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

void BlockJob::taper() {
  int64_t stretch_bytes = run_bytes() / stretches;
  if (unpacks || stretch_bytes < kTaperedBytes) return;
  for (; stretch_bytes >= 2 * kLeastBytes; stretch_bytes /= 2) ++halvings;
}

int64_t BlockJob::first_part(int64_t piece) const {
  const int64_t of_stretch = int64_t{1} << halvings;
  if (piece < stretches) return piece * of_stretch;
  return stretches * of_stretch - (of_stretch >> (piece - stretches + 1));
}

void BlockJob::multiply(int64_t run, int64_t piece_of_run, std::byte* scratch) const {
  const MatrixView& b = product->b_NK;
  const MutableMatrix& c = product->c_MN;
  const int64_t col = run * run_columns;
  const int64_t row_bytes = bytes_of(b.dtype, b.row_stride);
  const BlockPiece piece = {.a = a,
                            .b = static_cast<const std::byte*>(b.data) + col * row_bytes,
                            .b_row_bytes = row_bytes,
                            .c = c.data + col * c.col_stride,
                            .c_row_stride = c.row_stride,
                            .c_col_stride = c.col_stride,
                            .m = m(),
                            .n = std::min(run_columns, n() - col),
                            .begin_part = first_part(piece_of_run),
                            .end_part = first_part(piece_of_run + 1),
                            .parts = stretches << halvings,
                            .groups = groups(),
                            .accumulate = product->accumulate,
                            .far = reach == Reach::kFar};
  if (unpacks) {
    kernel.panels.multiply(piece, scratch);
  } else {
    kernel.rows(piece);
  }
}

Area BlockJob::area(int64_t run) const {
  const int64_t col = run * run_columns;
  return {0, m(), col, std::min(run_columns, n() - col)};
}

RowOrder BlockJob::order() const {
  return {.rows = m(),
          .quads = quads(),
          .form = unpacks ? kernel.panels.form : RowForm::kRows,
          .tile_rows = kernel.panels.tile_rows};
}

std::vector<BlockJob> block_jobs(Device& device, std::span<const Product> products,
                                 size_t products_of_task) {
  std::vector<BlockJob> jobs;
  jobs.reserve(products.size());
  for (const Product& p : products) {
    check(p);
    if (p.c_MN.rows == 0 || p.c_MN.cols == 0) continue;
    const Choice choice = kernel_of(device, p);
    BlockJob job = {.product = &p,
                    .kernel = choice.kernel,
                    .unpacks = choice.unpacks,
                    .a = {},
                    .a_of = 0,
                    .run_columns = 0,
                    .stretches = 1,
                    .halvings = 0,
                    .reach = Reach::kNear};
    job.cut(device.threads().size(), jobs.size() % products_of_task == 0 ? nullptr : &jobs.back());
    jobs.push_back(job);
  }
  if (!jobs.empty()) jobs.back().taper();  // nothing is multiplied behind it
  return jobs;
}

Arithmetic arithmetic_of_blocks(DType dtype) {
  return of_format(portable::kBlocks, dtype).wide ? Arithmetic::kInt8 : Arithmetic::kInt4;
}

quant::Interleaving interleaving_of_blocks(simd::Isa isa, DType dtype) {
  // In the tiles of AMX rows are multiplied from other places.
  if (isa == simd::Isa::kAmx) return {};
  const InterleavedKernels& kernels = of_format(kernels_of(isa), dtype).interleaved;
  return {.rows = kernels.columns, .unsigned_codes = kernels.unsigned_codes};
}

}  // namespace corral::ops
