#include "quant/block_format.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "quant/iq4.h"
#include "quant/mxfp4.h"
#include "quant/q2_k.h"
#include "quant/q3_k.h"
#include "quant/q4_k.h"
#include "quant/q4_q5.h"
#include "quant/q6_k.h"
#include "quant/q8_0.h"

namespace corral::quant {
namespace {

constexpr std::array<BlockFormat, 13> kFormats = {{
    {DType::kQ8_0, 32, 34, dequantize_row_q8_0,
     [](const float* x, const float*, std::byte* blocks, int64_t n) {
       quantize_row_q8_0(x, blocks, n);
     }},
    {DType::kQ4_0, 32, 18, dequantize_row_q4_0, quantize_row_q4_0},
    {DType::kQ4_1, 32, 20, dequantize_row_q4_1, quantize_row_q4_1},
    {DType::kQ5_0, 32, 22, dequantize_row_q5_0, quantize_row_q5_0},
    {DType::kQ5_1, 32, 24, dequantize_row_q5_1, quantize_row_q5_1},
    {DType::kIQ4_NL, 32, 18, dequantize_row_iq4_nl, quantize_row_iq4_nl},
    {DType::kMXFP4, 32, 17, dequantize_row_mxfp4, quantize_row_mxfp4},
    {DType::kQ2_K, 256, 84, dequantize_row_q2_k, quantize_row_q2_k},
    {DType::kQ3_K, 256, 110, dequantize_row_q3_k, quantize_row_q3_k},
    {DType::kQ4_K, 256, 144, dequantize_row_q4_k, quantize_row_q4_k},
    {DType::kQ5_K, 256, 176, dequantize_row_q5_k, quantize_row_q5_k},
    {DType::kQ6_K, 256, 210, dequantize_row_q6_k, quantize_row_q6_k},
    {DType::kIQ4_XS, 256, 136, dequantize_row_iq4_xs, quantize_row_iq4_xs},
}};

}  // namespace

const BlockFormat& block_format(DType dtype) {
  const auto* at = std::find_if(kFormats.begin(), kFormats.end(),
                                [&](const BlockFormat& format) { return format.dtype == dtype; });
  if (at == kFormats.end()) throw NotSupported(str(dtype, " is not a type of blocks"));
  return *at;
}

}  // namespace corral::quant
