#pragma once

#include <cstdint>
#include <span>

#include "base/function_ref.h"
#include "quant/linear_weight.h"
#include "simd/isa.h"
#include "tensor/peak.h"
#include "tensor/tensor.h"

namespace corral::ops {

/// A read-only matrix anywhere in memory; strides in elements. dtype: f32, f16, bf16, or blocks
/// (then col_stride is 1 and a row is whole blocks).
struct MatrixView {
  const void* data = nullptr;
  DType dtype = DType::kF32;
  int64_t rows = 0;
  int64_t cols = 0;
  int64_t row_stride = 0;
  int64_t col_stride = 1;
  quant::Interleaving interleaving = {};  // only of B

  /// The same matrix with rows and columns exchanged.
  MatrixView transposed() const { return {data, dtype, cols, rows, col_stride, row_stride}; }
};

/// An f32 matrix to write into.
struct MutableMatrix {
  float* data = nullptr;
  int64_t rows = 0;
  int64_t cols = 0;
  int64_t row_stride = 0;
  int64_t col_stride = 1;
};

/// C[M, N] = A[M, K] B[N, K]^T, or C += with accumulate.
struct Product {
  MatrixView a_MK;  // f32
  MatrixView b_NK;  // any weight type
  MutableMatrix c_MN;
  bool accumulate = false;
};

/// Computes the product. A is f32; B any weight type.
/// Every element of C is one chain of K fused multiply-adds in the order of K (bf16: of pairs of K;
/// from C's value when accumulating), so its bits depend on its row of A and its row of B only: not
/// on M, N, the strides or the threads. The portable kernels round product and sum apart, and those
/// without bf16 instructions multiply operands rounded to bf16 as f32: the bits depend on the
/// instruction set. vdpbf16ps of AVX-512 takes denormal operands and results for zero.
/// The tiles of AMX, which products of weights in bf16 or rounded to it have there, and of floats
/// with up to 65,536 rows of B, sum the products of 32 k by themselves (even and odd k apart), add
/// these sums in the order of K, and take denormals for zero; in f32 each of three parts of A
/// (ops/matmul/planes.h), or of six products of parts (ops/matmul/floats_amx.h), has sums of its
/// own.
/// With B in blocks rows of A are rounded to bytes and an element is four chains (block_kernel.h);
/// the promise is the same.
///
/// K = 0 gives zeros (or leaves C). Memory of A or B is not touched when C is empty.
/// Throws ShapeError when sizes differ, NotSupported when A or B has no kernel.
void matmul(Device& device, const Product& product, quant::Precision precision);
void matmul(Device& device, const MatrixView& a_MK, const MatrixView& b_NK,
            const MutableMatrix& c_MN, bool accumulate, quant::Precision precision);

/// Computes many products of which no two write the same place, all threads sharing all the work.
void matmul(Device& device, std::span<const Product> products, quant::Precision precision);

/// Some rows and columns of a result.
struct Area {
  int64_t row;
  int64_t rows;
  int64_t col;
  int64_t cols;
};

/// What becomes of the results of two products of one size, in an area of both.
using JoinResults =
    FunctionRef<void(const Product& first, const Product& second, const Area& area)>;

/// Computes products of which each two, 2 i and 2 i + 1, have one size, and joins their results: as
/// soon as both are there in an area, join() is called by the thread that ended it, which has the
/// most of them in its caches, while others still multiply. The areas of a pair do not overlap and
/// together are all of the result.
void matmul_pairs(Device& device, std::span<const Product> products, quant::Precision precision,
                  const JoinResults& join);

/// How many products of bf16 in the tiles of AMX make up one of f32 precision with weights of this
/// type and so many rows; 0 where it is multiplied as f32.
int tile_products(simd::Isa isa, DType weights, int64_t rows);

/// How weights of this type are to be interleaved (quant/interleaved.h) for products that are
/// faster, with the same bits; not at all where there are none.
quant::Interleaving interleaving_of(simd::Isa isa, DType dtype);

/// What products with weights in blocks of this type are made of.
Arithmetic arithmetic_of_blocks(DType dtype);

}  // namespace corral::ops
