#include <type_traits>

#include "ops/matmul/block_kernel.h"
#include "ops/matmul/block_panels.h"
#include "ops/matmul/block_quantize.h"
#include "ops/matmul/block_rows.h"
#include "ops/matmul/block_short.h"

namespace corral::ops::CORRAL_ISA {
namespace {

template <class Format>
constexpr BlockKernel kernel_of() {
  BlockKernel kernel = {.halves = static_cast<int64_t>(Format::kHalves),
                        .quantize = quantize<Format>,
                        .rows = rows<Format>,
                        .panels = panels_of<Format>()};
  if constexpr (std::is_same_v<Format, Q8_0>) kernel.rows = rows_q8_0;
  return kernel;
}

}  // namespace

const BlockKernels kBlocks =
    of_formats<BlockKernel>([]<class Format>() { return kernel_of<Format>(); });

}  // namespace corral::ops::CORRAL_ISA
