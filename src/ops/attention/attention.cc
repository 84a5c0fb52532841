#include "ops/attention/attention.h"

#include <algorithm>

#include "autograd/tape.h"
#include "ops/attention/attention_backward.h"
#include "ops/attention/attention_forward.h"

namespace corral::ops {
namespace {

/// Tiles made of rows of k and v: k is transposed into the scratch, v stays where it is.
auto tiles_of_rows(const Tensor& k_TKC, const Tensor& v_TKC) {
  const Device& device = *k_TKC.device();
  const AttentionKernel& kernel = attention_kernel(device);
  const float* k = k_TKC.data<float>();
  const float* v = v_TKC.data<float>();
  const int64_t K = k_TKC.dim(1);
  const int64_t C = k_TKC.dim(2);
  return [=, &kernel](const AttentionBlock& block, int64_t kv_head, int64_t first, int64_t,
                      float* scratch) {
    const int64_t key = std::max(first, block.first_key);
    const int64_t count = std::min(first + kKeyTile, block.last_query() + 1) - key;
    const int64_t at = (block.row + key - block.first_query) * K * C + kv_head * C;
    kernel.transpose(k + at, K * C, key - first, count, C, scratch);
    KeyTile tile;
    tile.k = scratch;
    tile.v = v + at;
    tile.v_stride = K * C;
    tile.first = first;
    tile.begin = key - first;
    return tile;
  };
}

}  // namespace

Tensor attention(const Tensor& q_THC, const Tensor& k_TKC, const Tensor& v_TKC,
                 const kv::Batch& batch, kv::AttentionSpan span, float scale) {
  check_attention("attention", q_THC, k_TKC, v_TKC, scale);
  const int64_t C = q_THC.dim(2);
  const bool recording = autograd::recording({q_THC, k_TKC, v_TKC});
  AttentionSaved saved = {.q_THC = pad_heads(q_THC),
                          .k_TKC = pad_heads(k_TKC),
                          .v_TKC = pad_heads(v_TKC),
                          .out_THC = {},
                          .lse_TH = {},
                          .blocks = attention_blocks("attention", batch, span, q_THC.dim(0), false),
                          .scale = scale};
  saved.out_THC = empty_like(saved.q_THC);
  AttentionRows rows = {.q_THC = saved.q_THC.data<float>(),
                        .out_THC = saved.out_THC.mutable_data<float>(),
                        .lse_TH = nullptr,
                        .heads = q_THC.dim(1),
                        .kv_heads = k_TKC.dim(1),
                        .head_size = saved.q_THC.dim(2),
                        .scale = scale};
  if (recording) {
    saved.lse_TH = Tensor({q_THC.dim(0), q_THC.dim(1)}, DType::kF32, q_THC.device());
    rows.lse_TH = saved.lse_TH.mutable_data<float>();
  }
  attend_blocks(*q_THC.device(), rows, saved.blocks, tiles_of_rows(saved.k_TKC, saved.v_TKC));
  const Tensor out_THC = unpad_heads(saved.out_THC, C);
  if (!recording) return out_THC;
  return autograd::record("attention", {q_THC, k_TKC, v_TKC}, out_THC,
                          [saved, C](const Tensor& dout_THC, autograd::GradientSink& sink) {
                            const AttentionGradients gradients =
                                attention_backward(saved, pad_heads(dout_THC));
                            sink.add(0, unpad_heads(gradients.dq_THC, C));
                            sink.add(1, unpad_heads(gradients.dk_TKC, C));
                            sink.add(2, unpad_heads(gradients.dv_TKC, C));
                          });
}

}  // namespace corral::ops
