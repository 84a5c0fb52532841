#include "media/resize_kernel.h"
#include "simd/vec.h"

namespace corral::media::CORRAL_ISA {
namespace {

namespace v = simd::CORRAL_ISA;
using v::I32;
using v::kLanes;
typedef uint8_t U8 __attribute__((vector_size(kLanes)));

constexpr int kChannels = 4;                 // of a pixel in a row for the horizontal pass
constexpr int kPixels = kLanes / kChannels;  // in a vector
constexpr int32_t kHalf = 1 << (kWeightBits - 1);

// g++ 12 takes a conversion of bytes apart into single lanes.
I32 widen(const uint8_t* at) {
#if defined(__AVX512F__)
  return reinterpret_cast<I32>(_mm512_maskz_cvtepu8_epi32(0xFFFF, v::load<__m128i>(at)));
#elif defined(__AVX2__)
  return reinterpret_cast<I32>(_mm256_cvtepu8_epi32(_mm_cvtsi64_si128(v::load<int64_t>(at))));
#else
  return __builtin_convertvector(v::load<U8>(at), I32);
#endif
}

uint8_t to_byte(int32_t sum) {
  const int32_t value = (sum + kHalf) >> kWeightBits;
  return static_cast<uint8_t>(value > 255 ? 255 : value);
}

/// Every weight four times, for the channels of its pixel.
I32 spread(const int32_t* weights) {
#if defined(__AVX512F__)
  const __m512i lanes = _mm512_set_epi32(3, 3, 3, 3, 2, 2, 2, 2, 1, 1, 1, 1, 0, 0, 0, 0);
  const __m512i four = _mm512_maskz_broadcast_i32x4(0xFFFF, v::load<__m128i>(weights));
  return reinterpret_cast<I32>(_mm512_maskz_permutexvar_epi32(0xFFFF, lanes, four));
#else
  I32 spread;
  for (int i = 0; i < kLanes; ++i) spread[i] = weights[i / kChannels];
  return spread;
#endif
}

void horizontal(const uint8_t* from, const int32_t* first, const int32_t* weights, int64_t stride,
                uint8_t* to, int64_t pixels) {
  for (int64_t i = 0; i < pixels; ++i) {
    const uint8_t* taps = from + kChannels * static_cast<int64_t>(first[i]);
    I32 sum{};
    for (int64_t k = 0; k < stride; k += kPixels) {
      sum += widen(taps + kChannels * k) * spread(weights + k);
    }
    weights += stride;
    for (int c = 0; c < 3; ++c) {
      int32_t total = sum[c];
      for (int lane = c + kChannels; lane < kLanes; lane += kChannels) total += sum[lane];
      to[3 * i + c] = to_byte(total);
    }
  }
}

void vertical(const uint8_t* from, int64_t pitch, const int32_t* weights, int64_t taps, uint8_t* to,
              int64_t bytes) {
  constexpr int kUnroll = 4;
  int64_t b = 0;
  for (; b + kUnroll * kLanes <= bytes; b += kUnroll * kLanes) {
    I32 sum[kUnroll];
    for (auto& s : sum) s = I32{} + kHalf;
    for (int64_t k = 0; k < taps; ++k) {
      for (int u = 0; u < kUnroll; ++u)
        sum[u] += widen(from + k * pitch + b + u * kLanes) * weights[k];
    }
    for (int u = 0; u < kUnroll; ++u) {
      const I32 value = sum[u] >> kWeightBits;
      v::store(to + b + u * kLanes, __builtin_convertvector(value > 255 ? I32{} + 255 : value, U8));
    }
  }
  for (; b < bytes; ++b) {
    int32_t sum = 0;
    for (int64_t k = 0; k < taps; ++k) sum += from[k * pitch + b] * weights[k];
    to[b] = to_byte(sum);
  }
}

}  // namespace

const ResizeKernel kResize = {horizontal, vertical};

}  // namespace corral::media::CORRAL_ISA
