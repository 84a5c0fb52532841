#include "ops/matmul/q8_0_product.h"

#include <algorithm>
#include <atomic>

#include "base/error.h"
#include "ops/matmul/q8_0_kernel.h"
#include "ops/matmul/scratch.h"
#include "quant/q8_0.h"
#include "simd/isa.h"

namespace corral::ops {
namespace {

// Rows of B of a piece: many pieces for an even load, few enough to be worth fetching.
constexpr int64_t kPieceColumns = 32;
// Multiply-adds below which a second thread costs more than it saves.
constexpr int64_t kSerialWork = 1 << 16;
constexpr int64_t kQuantizeGrain = 8;

const Q8Kernel& kernel_of(const Device& device) {
  return simd::choose(device.isa(), portable::kQ8, avx2::kQ8, avx512::kQ8);
}

void check(const Product& p) {
  if (p.b_NK.dtype != DType::kQ8_0 || p.a_MK.dtype != DType::kF32 || p.a_MK.col_stride != 1) {
    throw NotSupported(str("matmul: no product of ", p.a_MK.dtype, " and ", p.b_NK.dtype,
                           " matrices in this layout"));
  }
}

// A quantized: bytes of all rows, then the scales of all rows.
class QuantizedRows {
 public:
  QuantizedRows(Device& device, const Q8Kernel& kernel, const MatrixView& a_MK)
      : blocks_(a_MK.cols / quant::kQ8BlockElements),
        memory_(device, a_MK.rows * blocks_ * kRowBlockBytes),
        bytes_(reinterpret_cast<int8_t*>(memory_.data())),
        scales_(reinterpret_cast<float*>(bytes_ + a_MK.rows * a_MK.cols)) {
    const auto* x = static_cast<const float*>(a_MK.data);
    device.threads().parallel_for(a_MK.rows, kQuantizeGrain, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        kernel.quantize(x + row * a_MK.row_stride, blocks_, bytes_ + row * a_MK.cols,
                        scales_ + row * blocks_);
      }
    });
  }
  int64_t blocks() const { return blocks_; }
  const int8_t* bytes() const { return bytes_; }
  const float* scales() const { return scales_; }

 private:
  static constexpr int64_t kRowBlockBytes =
      quant::kQ8BlockElements + static_cast<int64_t>(sizeof(float));

  int64_t blocks_;
  Scratch memory_;
  int8_t* bytes_;
  float* scales_;
};

Q8Piece whole_piece(const Product& p, const QuantizedRows& a) {
  return {.a = a.bytes(),
          .a_scales = a.scales(),
          .b = static_cast<const std::byte*>(p.b_NK.data),
          .b_row_bytes = bytes_of(DType::kQ8_0, p.b_NK.row_stride),
          .c = p.c_MN.data,
          .c_row_stride = p.c_MN.row_stride,
          .c_col_stride = p.c_MN.col_stride,
          .m = p.c_MN.rows,
          .n = p.c_MN.cols,
          .blocks = a.blocks(),
          .accumulate = p.accumulate};
}

void multiply(Device& device, const Q8Kernel& kernel, const Q8Piece& whole) {
  const int64_t pieces = (whole.n + kPieceColumns - 1) / kPieceColumns;
  const int64_t work = whole.m * whole.n * whole.blocks * quant::kQ8BlockElements;
  if (pieces < 2 || work < kSerialWork || device.threads().size() == 1)
    return kernel.multiply(whole);
  std::atomic<int64_t> next{0};
  device.threads().run([&](int) {
    for (int64_t i = next++; i < pieces; i = next++) {
      Q8Piece piece = whole;
      const int64_t col = i * kPieceColumns;
      piece.b += col * whole.b_row_bytes;
      piece.c += col * whole.c_col_stride;
      piece.n = std::min(kPieceColumns, whole.n - col);
      kernel.multiply(piece);
    }
  });
}

}  // namespace

void q8_0_matmul(Device& device, std::span<const Product> products) {
  const Q8Kernel& kernel = kernel_of(device);
  for (const Product& p : products) {
    check(p);
    if (p.c_MN.rows == 0 || p.c_MN.cols == 0) continue;
    const QuantizedRows a(device, kernel, p.a_MK);
    multiply(device, kernel, whole_piece(p, a));
  }
}

}  // namespace corral::ops
