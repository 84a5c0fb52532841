// Matrix products in the tiles of AMX. Those of bf16 are blocked as matmul_isa.cc does it, but a
// tile takes 32 elements of K at a time, so that an element of C is a chain of sums of 32 products
// each. With weights in bf16 and A in f32, A is three planes of bf16 that make it up exactly
// (planes.h). Products of floats are in floats_amx.h.

#include "ops/matmul/floats_amx.h"
#include "ops/matmul/matmul_few_amx.h"
#include "ops/matmul/matmul_kernel.h"
#include "ops/matmul/planes.h"
#include "simd/tiles.h"

namespace corral::ops::CORRAL_ISA {
namespace {

using simd::CORRAL_ISA::max;
using simd::CORRAL_ISA::min;

constexpr int64_t kTile = 16;                  // rows and columns of a tile of C
constexpr int64_t kPanelColumns = 2 * kTile;   // two tiles share what is loaded of A
constexpr int64_t kDepth = 256;                // units, pairs of k, in a block
constexpr int64_t kRowUnits = kDepth + kTile;  // stride of packed A: not a power of two
constexpr int64_t kBlockRows = 128;            // of A, which stay in the level-2 cache
constexpr int64_t kBlockColumns = 512;         // of B when A has several blocks

int64_t rounded_up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }
/// Units of k, in whole tiles.
int64_t units_of(int64_t k) { return rounded_up((k + 1) / 2, kTile); }

struct Block {
  int64_t row;
  int64_t rows;
  int64_t col;
  int64_t cols;
  int64_t first;  // unit
  int64_t units;  // whole tiles
};

/// to[plane][row][unit] of the block's rows, in whole tiles, planes `stride` units apart.
template <class Planes>
void pack_a(const Planes& from, const Block& block, int64_t stride, uint32_t* to) {
  if constexpr (Planes::kPlanes == 1) {
    if (!from.k_contiguous()) {
      for (int64_t r = 0; r < block.rows; r += kTile) {
        for (int64_t u = 0; u < block.units; u += kTile) {
          U32 units[kLanes];
          for (int i = 0; i < kLanes; ++i) {
            units[i] = from.across_rows(block.row + r, block.first + u + i);
          }
          transpose(units);
          for (int64_t i = 0; i < kLanes; ++i) {
            simd::CORRAL_ISA::store(to + (r + i) * kRowUnits + u, units[i]);
          }
        }
      }
      return;
    }
  }
  for (int64_t r = 0; r < rounded_up(block.rows, kTile); ++r) {
    for (int64_t u = 0; u < block.units; u += kTile) {
      PlaneUnits<Planes::kPlanes> units;
      from.along_k(block.row + r, block.first + u, units);
      for (int64_t i = 0; i < Planes::kPlanes; ++i) {
        simd::CORRAL_ISA::store(to + i * stride + r * kRowUnits + u, units[i]);
      }
    }
  }
}

/// Panels of two tiles' columns, the last perhaps of one, each [unit][column].
template <class Reader>
void pack_b(const Reader& from, const Block& block, uint32_t* to) {
  for (int64_t j = 0; j < block.cols; j += kPanelColumns) {
    const int64_t vectors = block.cols - j > kTile ? 2 : 1;
    uint32_t* const panel = to + j * block.units;
    const int64_t own = from.units_from(block.first, block.units);
    pack_panel(from, block.col + j, vectors, block.first, own, panel);
    // What pads K is multiplied by zeros of A, but must be finite for that.
    for (int64_t u = rounded_up(own, from.k_contiguous() ? kTile : 1); u < block.units; ++u) {
      for (int64_t v = 0; v < vectors; ++v) {
        simd::CORRAL_ISA::store(panel + (u * vectors + v) * kLanes, U32{});
      }
    }
  }
}

/// Where a tile is in C, or in memory aside.
struct Place {
  float* at;
  int64_t stride_bytes;
};

/// kRows times kVectors tiles of C from packed rows of A, `stride` units between planes, and a
/// panel of B. Tiles 0 to 3 are of C, 4 and 5 of A, 6 and 7 of B.
template <int kPlanes, int kRows, int kVectors>
void multiply_tile(const uint32_t* a, int64_t stride, const uint32_t* b, int64_t units,
                   const Place& c, bool from_c) {
  using namespace simd::CORRAL_ISA;
  const auto each_tile = [&]<class F>(const F& f) {
    f.template operator()<0>(c.at);
    if constexpr (kVectors == 2) f.template operator()<1>(c.at + kTile);
    float* const below = c.at + kTile * c.stride_bytes / 4;
    if constexpr (kRows == 2) f.template operator()<2>(below);
    if constexpr (kRows == 2 && kVectors == 2) f.template operator()<3>(below + kTile);
  };
  each_tile([&]<int kC>(float* at) {
    if (from_c) {
      load_tile<kC>(at, c.stride_bytes);
    } else {
      zero_tile<kC>();
    }
  });
  constexpr int64_t kRowBytes = kVectors * 64;
  for (int64_t u = 0; u < units; u += kTile) {
    const uint32_t* const b_at = b + u * kVectors * kLanes;
    load_tile<6>(b_at, kRowBytes);
    if constexpr (kVectors == 2) load_tile<7>(b_at + kLanes, kRowBytes);
    // Small parts first, as in matmul_few_amx.h.
    for (int plane = kPlanes - 1; plane >= 0; --plane) {
      const uint32_t* const a_at = a + plane * stride + u;
      load_tile<4>(a_at, kRowUnits * 4);
      add_products_of_bf16<0, 4, 6>();
      if constexpr (kVectors == 2) add_products_of_bf16<1, 4, 7>();
      if constexpr (kRows == 2) {
        load_tile<5>(a_at + kTile * kRowUnits, kRowUnits * 4);
        add_products_of_bf16<2, 5, 6>();
        if constexpr (kVectors == 2) add_products_of_bf16<3, 5, 7>();
      }
    }
  }
  each_tile([&]<int kC>(float* at) { store_tile<kC>(at, c.stride_bytes); });
}

template <int kPlanes>
void multiply_tiles(int64_t rows, int64_t vectors, const uint32_t* a, int64_t stride,
                    const uint32_t* b, int64_t units, const Place& c, bool from_c) {
  if (rows > kTile) {
    if (vectors == 2) return multiply_tile<kPlanes, 2, 2>(a, stride, b, units, c, from_c);
    return multiply_tile<kPlanes, 2, 1>(a, stride, b, units, c, from_c);
  }
  if (vectors == 2) return multiply_tile<kPlanes, 1, 2>(a, stride, b, units, c, from_c);
  multiply_tile<kPlanes, 1, 1>(a, stride, b, units, c, from_c);
}

/// The same where C does not hold whole tiles, or not in rows.
template <int kPlanes>
void multiply_edge(const Piece& p, int64_t row, int64_t col, int64_t rows, int64_t cols,
                   const uint32_t* a, int64_t stride, const uint32_t* b, int64_t units,
                   bool from_c) {
  alignas(64) float aside[kPanelColumns * kPanelColumns] = {};
  float* const c = p.c + row * p.c_row_stride + col * p.c_col_stride;
  const auto each = [&](const auto& f) {
    for (int64_t i = 0; i < rows; ++i) {
      for (int64_t j = 0; j < cols; ++j) {
        f(aside[i * kPanelColumns + j], c[i * p.c_row_stride + j * p.c_col_stride]);
      }
    }
  };
  if (from_c) each([](float& to, float from) { to = from; });
  multiply_tiles<kPlanes>(rows, cols > kTile ? 2 : 1, a, stride, b, units,
                          {aside, kPanelColumns * 4}, from_c);
  each([](float from, float& to) { to = from; });
}

template <int kPlanes>
void multiply_block(const Piece& p, const Block& block, const uint32_t* a, int64_t stride,
                    const uint32_t* b) {
  const bool from_c = p.accumulate || block.first > 0;
  for (int64_t j = 0; j < block.cols; j += kPanelColumns) {
    const int64_t cols = min(kPanelColumns, block.cols - j);
    const int64_t vectors = cols > kTile ? 2 : 1;
    const uint32_t* const panel = b + j * block.units;
    for (int64_t r = 0; r < block.rows; r += 2 * kTile) {
      const int64_t rows = min(2 * kTile, block.rows - r);
      const uint32_t* const rows_a = a + r * kRowUnits;
      const bool whole = p.c_col_stride == 1 && rows % kTile == 0 && cols % kTile == 0;
      if (whole) {
        float* const c = p.c + (block.row + r) * p.c_row_stride + block.col + j;
        multiply_tiles<kPlanes>(rows, vectors, rows_a, stride, panel, block.units,
                                {c, p.c_row_stride * 4}, from_c);
      } else {
        multiply_edge<kPlanes>(p, block.row + r, block.col + j, rows, cols, rows_a, stride, panel,
                               block.units, from_c);
      }
    }
  }
}

/// Units of a plane of packed A.
int64_t plane_units(int64_t m) { return rounded_up(min(m, kBlockRows), kTile) * kRowUnits; }
/// Columns of B that are packed at a time.
int64_t block_columns(int64_t m, int64_t n) {
  return m <= kBlockRows ? kPanelColumns : min(kBlockColumns, rounded_up(n, kPanelColumns));
}

template <class Planes, class EB>
void multiply_as(const Piece& p, std::byte* scratch) {
  const Planes a_from(p);
  const UnitReader<BF16Math, EB> b_from(p.b, p.n, p.k);
  auto* const a = reinterpret_cast<uint32_t*>(scratch);
  if constexpr (EB::kBf16) {
    if (few_rows_amx(p)) return multiply_few_rows_amx(p, a_from, a);
  }
  const int64_t stride = plane_units(p.m);
  uint32_t* const b = a + Planes::kPlanes * stride;
  const bool one_block = p.m <= kBlockRows;
  const int64_t columns = block_columns(p.m, p.n);
  const int64_t units = units_of(p.k);
  simd::CORRAL_ISA::TileShapes shapes;
  for (int tile = 0; tile < 8; ++tile) shapes.set(tile, kTile, 64);
  simd::CORRAL_ISA::load_shapes(shapes);
  Block block{};
  for (block.first = 0; block.first < units; block.first += kDepth) {
    block.units = min(kDepth, units - block.first);
    if (one_block) {
      block.row = 0;
      block.rows = p.m;
      pack_a(a_from, block, stride, a);
    }
    for (block.col = 0; block.col < p.n; block.col += columns) {
      block.cols = min(columns, p.n - block.col);
      pack_b(b_from, block, b);
      for (block.row = 0; block.row < p.m; block.row += kBlockRows) {
        block.rows = min(kBlockRows, p.m - block.row);
        if (!one_block) pack_a(a_from, block, stride, a);
        multiply_block<Planes::kPlanes>(p, block, a, stride, b);
      }
    }
  }
  simd::CORRAL_ISA::release_tiles();
}

/// A of f32 precision, with weights in bf16.
void multiply_exactly(const Piece& p, std::byte* scratch) {
  with_element(p.a.element, [&]<class EA>() { multiply_as<Exact<EA>, BF16Element>(p, scratch); });
}

void multiply_rounded(const Piece& p, std::byte* scratch) {
  with_element(p.a.element, [&]<class EA>() {
    with_element(p.b.element, [&]<class EB>() { multiply_as<Rounded<EA>, EB>(p, scratch); });
  });
}

/// Factors, and rows and columns of C, exchanged: the same sums of the same products.
Piece exchanged(Piece p) {
  const Factor a = p.a;
  p.a = p.b;
  p.b = a;
  const int64_t m = p.m;
  p.m = p.n;
  p.n = m;
  const int64_t stride = p.c_row_stride;
  p.c_row_stride = p.c_col_stride;
  p.c_col_stride = stride;
  p.exchanged = !p.exchanged;
  return p;
}

void multiply_floats(const Piece& p, std::byte* scratch) {
  const auto with_float = [](Element element, const auto& f) {
    if (element == Element::kF16) return f.template operator()<F16Element>();
    f.template operator()<F32Element>();
  };
  with_float(p.a.element, [&]<class EA>() {
    with_float(p.b.element, [&]<class EB>() {
      FloatProduct<EA, EB>(p, reinterpret_cast<uint32_t*>(scratch)).multiply();
    });
  });
}

/// Whether neither operand is bf16 nor rounded to it.
bool of_floats(const Piece& p) {
  return !p.bf16 && p.a.element != Element::kBF16 && p.b.element != Element::kBF16;
}
/// What B has to be: bf16 where A is not rounded, and of floats the second factor.
bool wants_exchange(const Piece& p) {
  return of_floats(p) ? p.exchanged : !p.bf16 && p.b.element != Element::kBF16;
}
/// Whether a product is left to AVX-512: of floats, with many rows in the second factor.
bool without_tiles(const Piece& p) {
  return of_floats(p) && (p.exchanged ? p.a : p.b).all_rows > kMostTileRows;
}

void multiply(const Piece& p, std::byte* scratch) {
  if (without_tiles(p)) return avx512::kMatmul.multiply(p, scratch);
  if (wants_exchange(p)) return multiply(exchanged(p), scratch);
  if (p.bf16) return multiply_rounded(p, scratch);
  if (of_floats(p)) return multiply_floats(p, scratch);
  multiply_exactly(p, scratch);
}

int64_t scratch_bytes(const Piece& p) {
  if (without_tiles(p)) return avx512::kMatmul.scratch_bytes(p);
  if (wants_exchange(p)) return scratch_bytes(exchanged(p));
  if (of_floats(p)) return 4 * float_scratch_words(p);
  const int64_t planes = p.bf16 ? 1 : 3;
  const int64_t packed =
      planes * plane_units(p.m) + block_columns(p.m, p.n) * min(kDepth, units_of(p.k));
  // Of many rows the last piece can have few.
  return 4 * max(packed, planes * few_rows_amx_units(p));
}

}  // namespace

const MatmulKernel kMatmul = {2 * kTile, kLanes, 0, scratch_bytes, multiply};

}  // namespace corral::ops::CORRAL_ISA
