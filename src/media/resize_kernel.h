#pragma once

// What resize.cc hands to the kernels of each instruction set; plain data, so that *_isa.cc files
// may include it (simd/vec.h).

#include <cstddef>
#include <cstdint>

namespace corral::media {

/// Weights have this many bits behind the point; eight more of a pixel and one of a sum that is
/// rounded up a little still fit into 32.
inline constexpr int kWeightBits = 22;

/// Pixels of one vector of the widest instruction set: rows for the horizontal pass are padded with
/// so many, and weights with as many zeros.
inline constexpr int64_t kPixelBlock = 4;

struct ResizeKernel {
  /// One row, to the side. from: red, green, blue and a byte of anything for every pixel, readable
  /// up to kPixelBlock pixels behind the last tap. Output pixel i is made of the pixels from
  /// first[i] on with the weights[i * stride ...], stride a multiple of kPixelBlock.
  void (*horizontal)(const uint8_t* from, const int32_t* first, const int32_t* weights,
                     int64_t stride, uint8_t* to, int64_t pixels);
  /// One row, downwards: to[b] = sum over k of weights[k] * from[k * pitch + b] for b < bytes.
  void (*vertical)(const uint8_t* from, int64_t pitch, const int32_t* weights, int64_t taps,
                   uint8_t* to, int64_t bytes);
};

namespace portable {
extern const ResizeKernel kResize;
}
namespace avx2 {
extern const ResizeKernel kResize;
}
namespace avx512 {
extern const ResizeKernel kResize;
}

}  // namespace corral::media
