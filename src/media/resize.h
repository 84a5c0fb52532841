#pragma once

#include <cstdint>

#include "base/thread_pool.h"
#include "media/image.h"
#include "simd/isa.h"

namespace corral::media {

/// Bilinear resize with antialiasing in the fixed-point form of Pillow, bit for bit: a horizontal
/// pass, then a vertical one, each rounded to 8 bits; a pass that keeps its side is skipped. With
///
///     scale = in / out,  support = max(scale, 1),  centre = (i + 0.5) scale
///
/// output i is the sum over taps x from int(centre - support + 0.5) to int(centre + support + 0.5),
/// both cut to the picture, of weight(x) pixel(x), weight(x) = 1 - |x - centre + 0.5| / support,
/// normalised in double and rounded (half up) to multiples of 2^-22; the sum is rounded half up.
/// Takes 3 width_out height_in bytes besides the result. Throws ShapeError for a side below 1 or
/// when rgb does not have the image's size.
/// Source: Pillow, libImaging/Resample.c.
Image resize(const Image& image, int64_t width, int64_t height, ThreadPool& threads, simd::Isa isa);

}  // namespace corral::media
