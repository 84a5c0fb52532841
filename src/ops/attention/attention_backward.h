#pragma once

#include "ops/attention/attention_blocks.h"

namespace corral::ops {

/// What the backward pass of attention reads; heads padded to padded_head_size.
struct AttentionSaved {
  Tensor q_THC;
  Tensor k_TKC;
  Tensor v_TKC;
  Tensor out_THC;
  Tensor lse_TH;
  AttentionBlocks blocks;
  float scale = 1;
};

struct AttentionGradients {
  Tensor dq_THC;
  Tensor dk_TKC;
  Tensor dv_TKC;
};

/// Gradients of all three inputs. Long blocks are cut by keys; each piece has its own sum for dq,
/// and these are added in order, so that no bit depends on the threads. Extra memory: at most eight
/// times q, and only for blocks of 1024 rows or more.
AttentionGradients attention_backward(const AttentionSaved& saved, const Tensor& dout_THC);

}  // namespace corral::ops
