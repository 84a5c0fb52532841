#include "ops/matmul/matmul.h"

#include "base/error.h"
#include "ops/matmul/block_product.h"
#include "ops/matmul/float_product.h"
#include "ops/matmul/matmul_kernel.h"
#include "simd/isa.h"

namespace corral::ops {
namespace {

void check(const Product& p) {
  if (p.a_MK.cols != p.b_NK.cols || p.c_MN.rows != p.a_MK.rows || p.c_MN.cols != p.b_NK.rows) {
    throw ShapeError(str("matmul: [", p.a_MK.rows, ", ", p.a_MK.cols, "] times [", p.b_NK.rows,
                         ", ", p.b_NK.cols, "]^T does not give [", p.c_MN.rows, ", ", p.c_MN.cols,
                         "]"));
  }
}

/// Whether the product's rows of B are interleaved so that a kernel could read them.
void check_interleaved(const Device& device, const Product& p) {
  const MatrixView& b = p.b_NK;
  if (!b.interleaving) return;
  if (b.interleaving != interleaving_of(device.isa(), b.dtype) || b.row_stride != b.cols ||
      b.col_stride != 1 || b.rows % b.interleaving.rows != 0 || b.cols % 2 != 0 ||
      p.a_MK.col_stride != 1) {
    throw NotSupported(str("matmul: no product with interleaved ", b.dtype, " matrices like this"));
  }
}

void check_pair(const Product& p, const Product& q) {
  if (p.c_MN.rows != q.c_MN.rows || p.c_MN.cols != q.c_MN.cols || p.a_MK.cols != q.a_MK.cols) {
    throw ShapeError(str("matmul: a pair of [", p.c_MN.rows, ", ", p.c_MN.cols, "] over ",
                         p.a_MK.cols, " and [", q.c_MN.rows, ", ", q.c_MN.cols, "] over ",
                         q.a_MK.cols));
  }
}

void multiply(Device& device, std::span<const Product> products, quant::Precision precision,
              const JoinResults* join) {
  for (const Product& p : products) {
    check(p);
    check_interleaved(device, p);
  }
  if (!products.empty() && is_block(products.front().b_NK.dtype)) {
    return block_matmul(device, products, join);
  }
  float_matmul(device, products, precision, join);
}

}  // namespace

void matmul(Device& device, std::span<const Product> products, quant::Precision precision) {
  multiply(device, products, precision, nullptr);
}

void matmul_pairs(Device& device, std::span<const Product> products, quant::Precision precision,
                  const JoinResults& join) {
  if (products.size() % 2 != 0) throw ShapeError("matmul: a product without the other of its pair");
  for (size_t i = 0; i < products.size(); i += 2) check_pair(products[i], products[i + 1]);
  multiply(device, products, precision, &join);
}

void matmul(Device& device, const Product& product, quant::Precision precision) {
  matmul(device, std::span<const Product>(&product, 1), precision);
}

void matmul(Device& device, const MatrixView& a_MK, const MatrixView& b_NK,
            const MutableMatrix& c_MN, bool accumulate, quant::Precision precision) {
  matmul(device, {.a_MK = a_MK, .b_NK = b_NK, .c_MN = c_MN, .accumulate = accumulate}, precision);
}

quant::Interleaving interleaving_of(simd::Isa isa, DType dtype) {
  return is_block(dtype) ? interleaving_of_blocks(isa, dtype) : interleaving_of_floats(isa, dtype);
}

int tile_products(simd::Isa isa, DType weights, int64_t rows) {
  if (isa != simd::Isa::kAmx) return 0;
  if (weights == DType::kBF16) return 3;
  return rows <= kMostTileRows ? 6 : 0;
}

}  // namespace corral::ops
