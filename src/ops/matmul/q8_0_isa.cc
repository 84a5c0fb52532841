#include <cstddef>
#include <cstdint>
#include <cstring>

#include "ops/matmul/q8_0_kernel.h"
#include "simd/vec.h"

namespace corral::ops::CORRAL_ISA {
namespace {

using simd::CORRAL_ISA::F32;

constexpr int64_t kBlock = 32;
constexpr int64_t kBlockBytes = 34;

// Rows of A and of B that are worked on together: enough independent chains to hide the latency of
// an addition, few enough for the registers.
constexpr size_t kRowsA = 4;
constexpr size_t kRowsB = 4;

// Adding and subtracting 1.5 * 2^23 rounds to the nearest integer, halves to even.
constexpr float kRounder = 12582912.0f;

void quantize(const float* x, int64_t blocks, int8_t* bytes, float* scales) {
  for (int64_t b = 0; b < blocks; ++b, x += kBlock, bytes += kBlock) {
    float largest = 0;
    float check = 0;  // 0, or NaN as soon as a value is not finite
    for (int64_t i = 0; i < kBlock; ++i) {
      const float magnitude = x[i] < 0 ? -x[i] : x[i];
      largest = magnitude > largest ? magnitude : largest;
      check += x[i] * 0.0f;
    }
    const float scale = largest / 127.0f;
    const float inverse = scale > 1e-38f ? 1.0f / scale : 0.0f;
    scales[b] = scale + check;
    const bool finite = check == 0;
    for (int64_t i = 0; i < kBlock; ++i) {
      const float rounded = x[i] * inverse + kRounder - kRounder;
      bytes[i] = finite ? static_cast<int8_t>(rounded) : int8_t{0};
    }
  }
}

float block_scale(const std::byte* block) {
  uint16_t bits;
  std::memcpy(&bits, block, sizeof(bits));
#if defined(__F16C__)
  return _cvtsh_ss(bits);
#else
  return simd::CORRAL_ISA::f16_to_f32(bits);
#endif
}

#if defined(__AVX2__)

// Eight chains in one register.
struct Chains {
  __m256 sum = _mm256_setzero_ps();

  float total() const {
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(sum), _mm256_extractf128_ps(sum, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
  }
};

struct Block {
  __m256i bytes;
  __m256i magnitudes;

  explicit Block(const std::byte* at)
      : bytes(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(at + 2))),
        magnitudes(_mm256_sign_epi8(bytes, bytes)) {}
};

// The instruction multiplies unsigned by signed bytes: B's sign moves over to A. Four products stay
// below 2^16, so the 16-bit sums of the older form do not saturate.
inline void add_block(Chains& chains, const Block& b, const int8_t* a, float scale) {
  const __m256i bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(a));
  const __m256i signed_a = _mm256_sign_epi8(bytes, b.bytes);
#if defined(__AVX512VNNI__) && defined(__AVX512VL__)
  const __m256i products = _mm256_dpbusd_epi32(_mm256_setzero_si256(), b.magnitudes, signed_a);
#else
  const __m256i pairs = _mm256_maddubs_epi16(b.magnitudes, signed_a);
  const __m256i products = _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
#endif
  chains.sum = _mm256_fmadd_ps(_mm256_set1_ps(scale), _mm256_cvtepi32_ps(products), chains.sum);
}

#else

constexpr int kChains = 8;

struct Chains {
  float sum[kChains] = {};

  float total() const {
    float four[4];
    for (int i = 0; i < 4; ++i) four[i] = sum[i] + sum[i + 4];
    return (four[0] + four[2]) + (four[1] + four[3]);
  }
};

struct Block {
  int8_t bytes[kBlock];

  explicit Block(const std::byte* at) { std::memcpy(bytes, at + 2, kBlock); }
};

inline void add_block(Chains& chains, const Block& b, const int8_t* a, float scale) {
  for (int i = 0; i < kChains; ++i) {
    int32_t products = 0;
    for (int j = 0; j < 4; ++j) products += int32_t{a[4 * i + j]} * int32_t{b.bytes[4 * i + j]};
    chains.sum[i] += scale * static_cast<float>(products);
  }
}

#endif

// Rows of A from `row`, rows of B from `col`.
template <size_t kA, size_t kB>
void tile(const Q8Piece& p, int64_t row, int64_t col) {
  Chains chains[kA][kB];
  const int8_t* a = p.a + row * p.blocks * kBlock;
  const float* a_scales = p.a_scales + row * p.blocks;
  const std::byte* b = p.b + col * p.b_row_bytes;
  for (int64_t k = 0; k < p.blocks; ++k) {
    for (size_t j = 0; j < kB; ++j) {
      const std::byte* at = b + static_cast<int64_t>(j) * p.b_row_bytes + k * kBlockBytes;
      const Block block(at);
      const float b_scale = block_scale(at);
      for (size_t i = 0; i < kA; ++i) {
        const int64_t at_a = static_cast<int64_t>(i) * p.blocks + k;
        add_block(chains[i][j], block, a + at_a * kBlock, a_scales[at_a] * b_scale);
      }
    }
  }
  for (size_t i = 0; i < kA; ++i) {
    for (size_t j = 0; j < kB; ++j) {
      float& c = p.c[(row + static_cast<int64_t>(i)) * p.c_row_stride +
                     (col + static_cast<int64_t>(j)) * p.c_col_stride];
      c = (p.accumulate ? c : 0.0f) + chains[i][j].total();
    }
  }
}

template <size_t kB>
void columns(const Q8Piece& p, int64_t col) {
  constexpr auto kStep = static_cast<int64_t>(kRowsA);
  int64_t row = 0;
  for (; row + kStep <= p.m; row += kStep) tile<kRowsA, kB>(p, row, col);
  for (; row < p.m; ++row) tile<1, kB>(p, row, col);
}

void multiply(const Q8Piece& p) {
  constexpr auto kStep = static_cast<int64_t>(kRowsB);
  int64_t col = 0;
  for (; col + kStep <= p.n; col += kStep) columns<kRowsB>(p, col);
  for (; col < p.n; ++col) columns<1>(p, col);
}

}  // namespace

const Q8Kernel kQ8 = {.quantize = quantize, .multiply = multiply};

}  // namespace corral::ops::CORRAL_ISA
