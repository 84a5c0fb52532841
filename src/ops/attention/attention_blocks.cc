#include "ops/attention/attention_blocks.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <utility>

#include "ops/attention/attention_kernel.h"

namespace corral::ops {
namespace {

// Four microseconds of work: half of it pays for the threads' waiting for each other.
constexpr int64_t kSerialOperations = 100'000;

}  // namespace

const AttentionKernel& attention_kernel(const Device& device) {
  return simd::choose<simd::Isa::kAvx512Bf16>(device.isa(), portable::kAttention, avx2::kAttention,
                                              avx512::kAttention, avx512_bf16::kAttention);
}

AttentionBlocks attention_blocks(const char* op, const kv::Batch& batch, kv::AttentionSpan span,
                                 int64_t rows, bool cached) {
  if (!span.causal && (span.chunk_size > 0 || cached)) {
    throw UsageError(str(op, ": attention that is not causal has neither chunks nor a cache"));
  }
  AttentionBlocks blocks;
  int64_t row = 0;
  for (const kv::Segment& segment : batch.segments) {
    if (segment.begin != row || segment.length <= 0 || segment.length > rows - row) {
      throw ShapeError(str(op, ": segment of rows [", segment.begin, ", +", segment.length,
                           ") does not follow row ", row, " of ", rows));
    }
    const int64_t end = segment.first_position + segment.length;
    for (int64_t position = segment.first_position; position < end;) {
      const int64_t chunk_start = span.first_visible(position);
      const int64_t chunk_end = span.chunk_size > 0 ? chunk_start + span.chunk_size : end;
      const int64_t count = std::min(end, chunk_end) - position;
      blocks.push_back({.row = row,
                        .count = count,
                        .first_query = position - chunk_start,
                        .first_key = cached ? 0 : position - chunk_start,
                        .chunk_start = chunk_start,
                        .sequence = segment.sequence,
                        .causal = span.causal});
      row += count;
      position += count;
    }
  }
  if (row != rows) throw ShapeError(str(op, ": segments cover ", row, " rows, q has ", rows));
  return blocks;
}

void check_attention(const char* op, const Tensor& q_THC, const Tensor& k_TKC, const Tensor& v_TKC,
                     float scale, bool same_rows) {
  for (const Tensor* x : {&q_THC, &k_TKC, &v_TKC}) {
    if (x->rank() != 3)
      throw ShapeError(str(op, ": needs q [T, H, C], k and v [T, K, C], got ", q_THC.shape(), ", ",
                           k_TKC.shape(), ", ", v_TKC.shape()));
    if (x->dtype() != DType::kF32) throw NotSupported(str(op, ": needs f32, got ", x->dtype()));
  }
  const int64_t K = k_TKC.dim(1);
  if (k_TKC.shape() != v_TKC.shape() || (same_rows && k_TKC.dim(0) != q_THC.dim(0)) ||
      k_TKC.dim(2) != q_THC.dim(2) || q_THC.dim(2) == 0 || q_THC.dim(1) == 0 || K == 0 ||
      q_THC.dim(1) % K != 0) {
    throw ShapeError(str(op, ": q is ", q_THC.shape(), ", k ", k_TKC.shape(), ", v ", v_TKC.shape(),
                         "; k and v need q's rows and head size, and heads that divide q's"));
  }
  if (!(scale > 0)) throw UsageError(str(op, ": scale is ", scale, ", needs a positive one"));
}

int64_t padded_head_size(int64_t C) { return (C + kHeadStep - 1) / kHeadStep * kHeadStep; }

namespace {

Tensor resize_heads(const Tensor& x, int64_t C) {
  Tensor y({x.dim(0), x.dim(1), C}, DType::kF32, x.device());
  const int64_t from_C = x.dim(2);
  const int64_t common = std::min(C, from_C);
  const float* from = x.data<float>();
  auto* to = y.mutable_data<float>();
  for (int64_t i = 0; i < x.dim(0) * x.dim(1); ++i) {
    std::copy_n(from + i * from_C, common, to + i * C);
    std::fill_n(to + i * C + common, C - common, 0.0f);
  }
  return y;
}

}  // namespace

Tensor pad_heads(Tensor x) {
  const int64_t C = padded_head_size(x.dim(2));
  if (C != x.dim(2)) return resize_heads(x, C);
  return std::move(x).detach();
}

Tensor unpad_heads(Tensor x, int64_t C) {
  if (C != x.dim(2)) return resize_heads(x, C);
  return x;
}

void run_units(ThreadPool& threads, int64_t units, int64_t operations,
               FunctionRef<void(int, int64_t)> work) {
  if (units <= 1 || threads.size() == 1 || operations < kSerialOperations) {
    for (int64_t unit = 0; unit < units; ++unit) work(0, unit);
    return;
  }
  std::atomic<int64_t> next{0};
  threads.run([&](int member) {
    for (;;) {
      const int64_t unit = next.fetch_add(1, std::memory_order_relaxed);
      if (unit >= units) return;
      work(member, unit);
    }
  });
}

}  // namespace corral::ops
