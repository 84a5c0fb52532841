#include "ops/attention/paged_attention.h"

#include <algorithm>
#include <utility>

#include "autograd/tape.h"
#include "base/small_vector.h"
#include "ops/attention/attention_forward.h"

namespace corral::ops {
namespace {

static_assert(kKeyTile == kv::kTileTokens, "attention reads the cache's tiles");

// Rows that are worth another thread.
constexpr int64_t kGrain = 64;
// Rows from which on a tile in fewer bits is widened once instead of by each pass over it.
constexpr int64_t kWidenRows = 12;

const KvTileKernel& tile_kernel_of(const Tensor& x, KvFormat format) {
  const auto i = static_cast<size_t>(format);
  return simd::choose(x.device()->isa(), portable::kKvTiles[i], avx2::kKvTiles[i],
                      avx512::kKvTiles[i]);
}

using SequenceViews = SmallVector<kv::KvSequenceView, 2>;

// The pages of each block's sequence; all that the block reads and writes is there.
SequenceViews views_of(const kv::KvLayerView& layer, const AttentionBlocks& blocks) {
  SequenceViews views;
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

KvFormat format_of(DType type) {
  if (type == DType::kBF16) return KvFormat::kBF16;
  if (type == DType::kQ8_0) return KvFormat::kQ8_0;
  if (type == DType::kQ4_0) return KvFormat::kQ4_0;
  return KvFormat::kF32;
}

void write_pages(const Tensor& k_TKC, const Tensor& v_TKC, kv::KvTypes types,
                 const AttentionBlocks& blocks, const SequenceViews& views) {
  const auto store_key = tile_kernel_of(k_TKC, format_of(types.k)).store_key;
  const auto store_value = tile_kernel_of(k_TKC, format_of(types.v)).store_value;
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
            const auto tiles = view.tiles(position, i % K);
            store_key(from_k + at, C, query % kKeyTile, tiles.k);
            store_value(from_v + at, C, query % kKeyTile, tiles.v);
          }
        });
  }
}

auto tiles_of_pages(const Tensor& k_TKC, kv::KvTypes types, const AttentionBlocks& blocks,
                    const SequenceViews& views) {
  const int64_t C = k_TKC.dim(2);
  const KvFormat k_format = format_of(types.k);
  const KvFormat v_format = format_of(types.v);
  const bool products = attention_kernel(*k_TKC.device()).bf16_products;
  const auto widened = [products](KvFormat format) {
    return format != KvFormat::kF32 && !(products && format == KvFormat::kBF16);
  };
  const int64_t k_bytes = kv::key_tile_bytes(types.k, C);
  const int64_t v_bytes = kv::value_tile_bytes(types.v, C);
  const bool k_widened = widened(k_format);
  const bool v_widened = widened(v_format);
  const auto load_keys = tile_kernel_of(k_TKC, k_format).load_keys;
  const auto load_values = tile_kernel_of(k_TKC, v_format).load_values;
  return [=, &blocks, &views](const AttentionBlock& block, int64_t kv_head, int64_t first,
                              int64_t rows, float* scratch) {
    const kv::KvSequenceView& view = views[static_cast<size_t>(&block - blocks.data())];
    const int64_t position = block.chunk_start + first;
    const auto tiles = view.tiles(position, kv_head);
    KeyTile tile = {.k = tiles.k,
                    .v = tiles.v,
                    .k_format = k_format,
                    .v_format = v_format,
                    .v_stride = C,
                    .first = first,
                    .begin = 0,
                    .next_k = {},
                    .next_v = {}};
    if (first + kKeyTile <= block.last_query()) {
      const auto next = view.tiles(position + kKeyTile, kv_head);
      tile.next_k = {next.k, k_bytes};
      tile.next_v = {next.v, v_bytes};
    }
    if (rows < kWidenRows) return tile;
    if (k_widened) {
      load_keys(tile.k, C, scratch);
      tile.k = scratch;
      tile.k_format = KvFormat::kF32;
    }
    if (v_widened) {
      load_values(tile.v, C, scratch + C * kKeyTile);
      tile.v = scratch + C * kKeyTile;
      tile.v_format = KvFormat::kF32;
    }
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
                       float scale, const kv::Batch* queries) {
  constexpr const char* kName = "paged_attention";
  check_attention(kName, q_THC, k_TKC, v_TKC, scale, queries == nullptr);
  check_layer(k_TKC, layer, span);
  if (autograd::recording({q_THC, k_TKC, v_TKC})) {
    throw NotSupported("paged_attention: has no gradient, use attention() to train");
  }
  const kv::KvTypes types = layer.layout().types;
  const AttentionBlocks written = attention_blocks(kName, batch, span, k_TKC.dim(0), true);
  const SequenceViews written_views = views_of(layer, written);
  const Tensor q = pad_heads(q_THC);
  const Tensor k = pad_heads(k_TKC);
  write_pages(k, pad_heads(v_TKC), types, written, written_views);

  Tensor out_THC = empty_like(q);
  const AttentionRows rows = {.q_THC = q.data<float>(),
                              .out_THC = out_THC.mutable_data<float>(),
                              .lse_TH = nullptr,
                              .heads = q.dim(1),
                              .kv_heads = k.dim(1),
                              .head_size = k.dim(2),
                              .scale = scale,
                              .k_format = format_of(types.k)};
  const auto attend = [&](const AttentionBlocks& blocks, const SequenceViews& views) {
    attend_blocks(*q.device(), rows, blocks, tiles_of_pages(k, types, blocks, views));
  };
  if (queries == nullptr) {
    attend(written, written_views);
  } else {
    const AttentionBlocks read = attention_blocks(kName, *queries, span, q_THC.dim(0), true);
    attend(read, views_of(layer, read));
  }
  return unpad_heads(std::move(out_THC), q_THC.dim(2));
}

}  // namespace corral::ops
