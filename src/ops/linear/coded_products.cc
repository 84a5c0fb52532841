#include "ops/linear/coded_products.h"

#include <algorithm>
#include <atomic>
#include <vector>

#include "ops/matmul/scratch.h"
#include "quant/coded.h"

namespace corral::ops {
namespace {

// A decoded strip stays in the second-level cache.
constexpr int64_t kStripElements = int64_t{1} << 17;

struct Strip {
  CodedRows product;
  int64_t begin;  // rows of W
  int64_t end;
};

std::vector<Strip> strips_of(std::span<const CodedRows> products, int64_t N, int64_t K) {
  const int64_t width = std::max<int64_t>(8, kStripElements / std::max<int64_t>(K, 1));
  std::vector<Strip> strips;
  for (const CodedRows& product : products) {
    if (product.rows.begin == product.rows.end) continue;
    for (int64_t n = 0; n < N; n += width) {
      strips.push_back({product, n, std::min(N, n + width)});
    }
  }
  return strips;
}

void multiply(const Tensor& x, const quant::LinearWeight& w, Tensor& y, const Strip& strip,
              quant::Precision precision) {
  const int64_t K = w.in_features;
  const int64_t N = w.out_features;
  const int64_t width = strip.end - strip.begin;
  const RowRange rows = strip.product.rows;
  const int64_t count = rows.end - rows.begin;
  Device& device = *x.device();
  const Scratch memory(device, width * K * static_cast<int64_t>(sizeof(float)));
  auto* decoded = reinterpret_cast<float*>(memory.data());
  quant::decode_rows(w, strip.product.index, strip.begin, width, decoded);
  matmul(device,
         {.a_MK = {x.data<float>() + rows.begin * K, DType::kF32, count, K, K, 1},
          .b_NK = {decoded, DType::kF32, width, K, K, 1},
          .c_MN = {y.mutable_data<float>() + rows.begin * N + strip.begin, count, width, N, 1},
          .accumulate = false},
         precision);
}

}  // namespace

void coded_products(const Tensor& x, const quant::LinearWeight& w, Tensor& y,
                    std::span<const CodedRows> products, quant::Precision precision) {
  const std::vector<Strip> strips = strips_of(products, w.out_features, w.in_features);
  std::atomic<size_t> next{0};
  // A matmul inside runs on the member's own thread.
  x.device()->threads().run([&](int) {
    for (size_t i = next++; i < strips.size(); i = next++) {
      multiply(x, w, y, strips[i], precision);
    }
  });
}

}  // namespace corral::ops
