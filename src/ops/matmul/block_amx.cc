#include "ops/matmul/block_kernel.h"
#include "ops/matmul/block_panels.h"

namespace corral::ops::CORRAL_ISA {

const OfBlocks<BlockPanels> kPanels = {
    .q8_0 = panels_of<Q8_0>(),
    .q4_0 = panels_of<Q4_0>(),
    .q4_1 = panels_of<Q4_1>(),
    .q5_0 = panels_of<Q5_0>(),
    .q5_1 = panels_of<Q5_1>(),
    .iq4_nl = panels_of<IQ4_NL>(),
    .mxfp4 = panels_of<MXFP4>(),
    .q2_k = panels_of<Q2_K>(),
    .q3_k = panels_of<Q3_K>(),
    .q4_k = panels_of<Q4_K>(),
    .q5_k = panels_of<Q5_K>(),
    .q6_k = panels_of<Q6_K>(),
    .iq4_xs = panels_of<IQ4_XS>(),
};

}  // namespace corral::ops::CORRAL_ISA
