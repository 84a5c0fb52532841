#include "ops/matmul/block_interleaved.h"
#include "ops/matmul/block_kernel.h"
#include "ops/matmul/block_panels.h"
#include "ops/matmul/block_quantize.h"
#include "ops/matmul/block_rows.h"

namespace corral::ops::CORRAL_ISA {
namespace {

template <class Format>
constexpr BlockKernel kernel_of() {
  return {.halves = static_cast<int64_t>(Format::kHalves),
          .wide = Format::kWide,
          .quantize = quantize<Format>,
          .rows = rows<Format>,
          .few_rows = kFewRowsOf<Format>,
          .panels = panels_of<Format>(),
          .interleaved = interleaved_of<Format>()};
}

}  // namespace

const BlockKernels kBlocks =
    of_formats<BlockKernel>([]<class Format>() { return kernel_of<Format>(); });

}  // namespace corral::ops::CORRAL_ISA
