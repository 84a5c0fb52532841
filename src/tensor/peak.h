#pragma once

#include "quant/linear_weight.h"
#include "tensor/device.h"

namespace corral::train {

/// Floating-point operations a second that all threads of the device reach together with nothing
/// but multiply-adds on registers: what `utilisation` is a share of. Takes about 60 ms. Where the
/// instruction set has no bf16 products, their peak is that of f32.
double measure_peak_flops(Device& device, quant::Precision precision);

}  // namespace corral::train
