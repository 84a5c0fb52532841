#include "ops/attention/paged_attention.h"

#include <algorithm>

#include "autograd/tape.h"
#include "ops/attention/attention_forward.h"

namespace corral::ops {
namespace {

static_assert(kKeyTile == kv::kTileTokens, "attention reads the cache's tiles");

// Rows that are worth another thread.
constexpr int64_t kGrain = 64;

const AttentionKernel& kernel_of(const Tensor& x) {
  return simd::choose(x.device()->isa(), portable::kAttention, avx2::kAttention,
                      avx512::kAttention);
}

// The pages of each block's sequence; all that the block reads and writes is there.
std::vector<kv::KvSequenceView> views_of(const kv::KvLayerView& layer,
                                         const std::vector<AttentionBlock>& blocks) {
  std::vector<kv::KvSequenceView> views;
  for (const AttentionBlock& block : blocks) {
    const kv::KvSequenceView view = layer.sequence(block.sequence);
    if (!view.holds(block.chunk_start) || !view.holds(block.chunk_start + block.last_query())) {
      throw UsageError(str("paged_attention: the cache has no pages for positions ",
                           block.chunk_start, " to ", block.chunk_start + block.last_query(),
                           " of sequence ", block.sequence, ": prepare the batch first"));
    }
    views.push_back(view);
  }
  return views;
}

// Copies one key and one value into column and row `i` of a tile.
void store_f32(const float* k, const float* v, int64_t C, int64_t i, std::byte* k_tile,
               std::byte* v_tile) {
  auto* to_k = reinterpret_cast<float*>(k_tile) + i;
  auto* to_v = reinterpret_cast<float*>(v_tile) + i * C;
  for (int64_t c = 0; c < C; ++c) to_k[c * kKeyTile] = k[c];
  std::copy_n(v, C, to_v);
}

void store_bf16(const AttentionKernel& kernel, const float* k, const float* v, int64_t C, int64_t i,
                std::byte* k_tile, std::byte* v_tile) {
  auto* to_k = reinterpret_cast<uint16_t*>(k_tile) + i;
  for (int64_t c = 0; c < C; ++c) to_k[c * kKeyTile] = f32_to_bf16(k[c]);
  kernel.narrow(v, C, reinterpret_cast<uint16_t*>(v_tile) + i * C);
}

void write_pages(const Tensor& k_TKC, const Tensor& v_TKC, DType dtype,
                 const std::vector<AttentionBlock>& blocks,
                 const std::vector<kv::KvSequenceView>& views) {
  const AttentionKernel& kernel = kernel_of(k_TKC);
  const int64_t K = k_TKC.dim(1);
  const int64_t C = k_TKC.dim(2);
  const float* from_k = k_TKC.data<float>();
  const float* from_v = v_TKC.data<float>();
  for (size_t b = 0; b < blocks.size(); ++b) {
    const AttentionBlock& block = blocks[b];
    const kv::KvSequenceView& view = views[b];
    k_TKC.device()->threads().parallel_for(
        block.count * K, kGrain, [&](int64_t begin, int64_t end) {
          for (int64_t i = begin; i < end; ++i) {
            const int64_t query = block.first_query + i / K;
            const int64_t position = block.chunk_start + query;
            const int64_t at = (block.row * K + i) * C;
            std::byte* k_tile = view.k_tile(position, i % K);
            std::byte* v_tile = view.v_tile(position, i % K);
            if (dtype == DType::kF32) {
              store_f32(from_k + at, from_v + at, C, query % kKeyTile, k_tile, v_tile);
            } else {
              store_bf16(kernel, from_k + at, from_v + at, C, query % kKeyTile, k_tile, v_tile);
            }
          }
        });
  }
}

TileSource tiles_of_pages(const Tensor& k_TKC, DType dtype,
                          const std::vector<AttentionBlock>& blocks,
                          const std::vector<kv::KvSequenceView>& views) {
  const int64_t C = k_TKC.dim(2);
  const AttentionKernel& kernel = kernel_of(k_TKC);
  return [=, &kernel, &blocks, &views](const AttentionBlock& block, int64_t kv_head, int64_t first,
                                       float* scratch) {
    const kv::KvSequenceView& view = views[static_cast<size_t>(&block - blocks.data())];
    const int64_t position = block.chunk_start + first;
    KeyTile tile = {.v_stride = C, .first = first};
    const std::byte* k = view.k_tile(position, kv_head);
    const std::byte* v = view.v_tile(position, kv_head);
    if (dtype == DType::kF32) {
      tile.k = reinterpret_cast<const float*>(k);
      tile.v = reinterpret_cast<const float*>(v);
      return tile;
    }
    const int64_t n = C * kKeyTile;
    kernel.widen(reinterpret_cast<const uint16_t*>(k), n, scratch);
    kernel.widen(reinterpret_cast<const uint16_t*>(v), n, scratch + n);
    tile.k = scratch;
    tile.v = scratch + n;
    return tile;
  };
}

void check_layer(const Tensor& k_TKC, const kv::KvLayerView& layer, kv::AttentionSpan span) {
  const kv::KvLayout& layout = layer.layout();
  if (k_TKC.dim(1) != layout.kv_heads || k_TKC.dim(2) != layout.head_dim) {
    throw UsageError(str("paged_attention: k is ", k_TKC.shape(), ", the cache has ",
                         layout.kv_heads, " heads of ", layout.head_dim));
  }
  if (span.chunk_size != layer.chunk_size()) {
    throw UsageError(str("paged_attention: span has chunks of ", span.chunk_size,
                         ", the layer's cache of ", layer.chunk_size()));
  }
}

}  // namespace

Tensor paged_attention(const Tensor& q_THC, const Tensor& k_TKC, const Tensor& v_TKC,
                       kv::KvLayerView layer, const kv::Batch& batch, kv::AttentionSpan span,
                       float scale) {
  check_attention("paged_attention", q_THC, k_TKC, v_TKC, scale);
  check_layer(k_TKC, layer, span);
  if (autograd::recording({q_THC, k_TKC, v_TKC})) {
    throw NotSupported("paged_attention: has no gradient, use attention() to train");
  }
  const DType dtype = layer.layout().dtype;
  const std::vector<AttentionBlock> blocks =
      attention_blocks("paged_attention", batch, span, q_THC.dim(0), true);
  const std::vector<kv::KvSequenceView> views = views_of(layer, blocks);
  const Tensor q = pad_heads(q_THC);
  const Tensor k = pad_heads(k_TKC);
  write_pages(k, pad_heads(v_TKC), dtype, blocks, views);

  Tensor out_THC = empty_like(q);
  const AttentionRows rows = {.q_THC = q.data<float>(),
                              .out_THC = out_THC.mutable_data<float>(),
                              .lse_TH = nullptr,
                              .heads = q.dim(1),
                              .kv_heads = k.dim(1),
                              .head_size = k.dim(2),
                              .scale = scale};
  attend_blocks(q.device(), rows, blocks, tiles_of_pages(k, dtype, blocks, views));
  return unpad_heads(out_THC, q_THC.dim(2));
}

}  // namespace corral::ops
