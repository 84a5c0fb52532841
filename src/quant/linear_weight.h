#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "tensor/tensor.h"

namespace corral::quant {

/// How a matrix product computes. kF32: operands are widened to f32. kBF16: both operands are
/// rounded to bf16 (nearest even). Sums are f32 in both, one chain in the order of K for each
/// output element, so a row's result depends neither on the other rows of the batch nor on the
/// number of threads. Block-quantized weights ignore it: their formats say how they are multiplied.
enum class Precision : uint8_t { kF32, kBF16 };

/// What the bytes of a weight are when they are no numbers: codes with scales beside them
/// (quant/coded.h). kF8E4M3: a code a byte. kInt4: two codes a byte, the first in the low half,
/// each the value plus 8.
enum class Coding : uint8_t { kNone, kF8E4M3, kInt4 };

/// How rows of a weight lie interleaved (quant/interleaved.h): so many at a time, 0: they do not.
struct Interleaving {
  int64_t rows = 0;
  bool unsigned_codes = false;  // of q8_0: code + 128

  explicit operator bool() const { return rows != 0; }
  bool operator==(const Interleaving&) const = default;
};

/// The weight of y = x W^T as linear and grouped_linear read it: `count` matrices (one for linear,
/// one an expert for grouped_linear) of out_features N rows and in_features K columns, anywhere in
/// a tensor. This is the only strided thing in Corral: it lets the layouts of different checkpoint
/// formats be used as they lie in the file.
struct LinearWeight {
  Tensor data;        // f32, f16, bf16, or blocks (then stride_in is 1 and rows are whole blocks)
  int64_t count = 1;  // E
  int64_t out_features = 0;  // N
  int64_t in_features = 0;   // K
  int64_t offset = 0;        // all in elements
  int64_t stride_count = 0;
  int64_t stride_out = 0;
  int64_t stride_in = 1;

  Coding coding = Coding::kNone;  // if another: data is u8, strides count codes
  Tensor scales = {};             // of codes: f32 [count, out_features, groups of a row]
  /// Codes of which every matrix has a tensor of its own, as files of single experts do; `data` is
  /// the first and stride_count unused.
  std::shared_ptr<const std::vector<Tensor>> matrices = nullptr;

  Interleaving interleaving = {};

  bool defined() const { return data.defined(); }

  /// data [N, K], or [E, N, K] for a stack: one output's weights lie together (nn.Linear, GGUF).
  static LinearWeight out_in(const Tensor& data);
  /// data [K, N] or [E, K, N], of which columns [first, first + columns) are used: Llama 4's expert
  /// tensors in Hugging Face form (gate_up_proj holds gate and up side by side).
  static LinearWeight in_out(const Tensor& data, int64_t first, int64_t columns);
};

}  // namespace corral::quant
