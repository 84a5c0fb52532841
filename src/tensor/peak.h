#pragma once

#include "tensor/device.h"

namespace corral {

/// What multiplies and adds.
enum class Arithmetic : uint8_t {
  kF32,
  kBF16,  // pairs of bf16, summed in f32
  kInt8,  // bytes, summed in 32 bits
  kInt4,  // bytes with others below 16: AVX2 sums some of their products in 16 bits first
};

/// Operations a second that all threads of the device reach together with nothing but multiply-adds
/// on registers: the ceiling of which speeds are a share. Takes about 60 ms. Where the instruction
/// set has no bf16 products, their peak is that of f32; the portable set and NEON have none for
/// bytes either.
double measure_peak(Device& device, Arithmetic arithmetic);

}  // namespace corral
