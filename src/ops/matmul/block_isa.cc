#include "ops/matmul/block_kernel.h"
#include "ops/matmul/block_panels.h"
#include "ops/matmul/block_quantize.h"
#include "ops/matmul/block_rows.h"
#include "ops/matmul/block_short.h"

namespace corral::ops::CORRAL_ISA {
namespace {

using Multiply = void (*)(const BlockPiece&);

template <class Format>
constexpr BlockKernel kernel_of(Multiply few = rows<Format>) {
  return {.halves = static_cast<int64_t>(Format::kHalves),
          .quantize = quantize<Format>,
          .rows = few,
          .panels = panels_of<Format>()};
}

}  // namespace

const BlockKernels kBlocks = {
    .q8_0 = kernel_of<Q8_0>(rows_q8_0),
    .q4_0 = kernel_of<Q4_0>(),
    .q4_1 = kernel_of<Q4_1>(),
    .q5_0 = kernel_of<Q5_0>(),
    .q5_1 = kernel_of<Q5_1>(),
    .iq4_nl = kernel_of<IQ4_NL>(),
    .mxfp4 = kernel_of<MXFP4>(),
    .q2_k = kernel_of<Q2_K>(),
    .q3_k = kernel_of<Q3_K>(),
    .q4_k = kernel_of<Q4_K>(),
    .q5_k = kernel_of<Q5_K>(),
    .q6_k = kernel_of<Q6_K>(),
    .iq4_xs = kernel_of<IQ4_XS>(),
};

}  // namespace corral::ops::CORRAL_ISA
