#include "ops/matmul/block_product.h"

#include <algorithm>
#include <atomic>

#include "base/error.h"
#include "ops/matmul/scratch.h"
#include "quant/block_format.h"

namespace corral::ops {
namespace {

// Rows of B in a strip: a multiple of every kernel's vector, and few enough for a strip of the
// longest rows to stay in the second-level cache.
constexpr int64_t kStripRows = 32;
// Multiply-adds below which a second thread costs more than it saves.
constexpr int64_t kSerialWork = 1 << 15;

void check(const Product& p) {
  if (!is_block(p.b_NK.dtype) || p.b_NK.col_stride != 1 || p.a_MK.dtype != DType::kF32) {
    throw NotSupported(str("matmul: no product of ", p.a_MK.dtype, " and ", p.b_NK.dtype,
                           " matrices in this layout"));
  }
}

int64_t strips_of(const Product& p) {
  return p.c_MN.rows == 0 ? 0 : (p.c_MN.cols + kStripRows - 1) / kStripRows;
}

int64_t multiple_of_64(int64_t bytes) { return (bytes + 63) / 64 * 64; }

/// Bytes of a dequantized strip.
int64_t strip_bytes(const Product& p) {
  const int64_t rows = std::min(kStripRows, p.c_MN.cols);
  return multiple_of_64(rows * p.a_MK.cols * static_cast<int64_t>(sizeof(float)));
}

void multiply_strip(const Product& p, const MatmulKernel& kernel, int64_t strip,
                    std::byte* scratch) {
  const quant::BlockFormat& format = quant::block_format(p.b_NK.dtype);
  const int64_t first = strip * kStripRows;
  const int64_t rows = std::min(kStripRows, p.c_MN.cols - first);
  const int64_t K = p.a_MK.cols;
  const int64_t row_bytes = bytes_of(p.b_NK.dtype, p.b_NK.row_stride);
  auto* const values = reinterpret_cast<float*>(scratch);
  const auto* const blocks = static_cast<const std::byte*>(p.b_NK.data);
  for (int64_t n = 0; n < rows; ++n) {
    format.dequantize(blocks + (first + n) * row_bytes, values + n * K, K);
  }
  kernel.multiply({.a = {p.a_MK.data, Element::kF32, p.a_MK.row_stride, p.a_MK.col_stride},
                   .b = {values, Element::kF32, K, 1},
                   .c = p.c_MN.data + first * p.c_MN.col_stride,
                   .c_row_stride = p.c_MN.row_stride,
                   .c_col_stride = p.c_MN.col_stride,
                   .m = p.c_MN.rows,
                   .n = rows,
                   .k = K,
                   .accumulate = p.accumulate,
                   .bf16 = false},
                  scratch + strip_bytes(p));
}

}  // namespace

void block_matmul(Device& device, const MatmulKernel& kernel, std::span<const Product> products) {
  int64_t strips = 0;
  int64_t work = 0;
  int64_t scratch_bytes = 0;
  for (const Product& p : products) {
    check(p);
    strips += strips_of(p);
    work += p.c_MN.rows * p.c_MN.cols * p.a_MK.cols;
    scratch_bytes =
        std::max(scratch_bytes,
                 strip_bytes(p) + kernel.scratch_bytes(
                                      p.c_MN.rows, std::min(kStripRows, p.c_MN.cols), p.a_MK.cols));
  }
  if (strips == 0) return;
  const int64_t workers =
      work < kSerialWork ? 1 : std::min<int64_t>(device.threads().size(), strips);
  const Scratch scratch(device, workers * scratch_bytes);
  std::atomic<int64_t> next{0};
  device.threads().run([&](int member) {
    if (member >= workers) return;
    std::byte* const own = scratch.data() + member * scratch_bytes;
    const Product* product = products.data();
    int64_t first = 0;
    for (int64_t i = next++; i < strips; i = next++) {
      while (i - first >= strips_of(*product)) first += strips_of(*product++);
      multiply_strip(*product, kernel, i - first, own);
    }
  });
}

}  // namespace corral::ops
