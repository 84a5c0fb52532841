#include "ops/matmul/block_kernel.h"
#include "ops/matmul/block_panels.h"

namespace corral::ops::CORRAL_ISA {

const OfBlocks<TileKernels> kTileKernels =
    of_formats<TileKernels>([]<class Format>() { return tile_kernels_of<Format>(); });

}  // namespace corral::ops::CORRAL_ISA
