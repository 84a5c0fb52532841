#include "ops/matmul/block_kernel.h"
#include "ops/matmul/block_panels.h"

namespace corral::ops::CORRAL_ISA {

const OfBlocks<BlockPanels> kPanels =
    of_formats<BlockPanels>([]<class Format>() { return panels_of<Format>(); });

}  // namespace corral::ops::CORRAL_ISA
