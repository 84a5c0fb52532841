// Storing tokens in the cache's tiles, and widening tiles that many rows read (kv/kv_types.h).

#include "ops/attention/attention_formats.h"
#include "ops/attention/attention_kernel.h"
#include "ops/attention/attention_tile.h"
#include "simd/vec.h"

namespace corral::ops::CORRAL_ISA {
namespace {

using simd::CORRAL_ISA::min;
using simd::CORRAL_ISA::store;

constexpr uint16_t kF16Nan = 0x7E00;
constexpr float kLargestF16 = 65504.0f;

/// Round to nearest even; |x| at most kLargestF16.
uint16_t to_f16(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof(bits));
  const auto sign = static_cast<uint16_t>((bits >> 16) & 0x8000u);
  bits &= 0x7FFFFFFFu;
  if (bits < 0x38800000u) {  // below 2^-14, the least normal number: units of 2^-24
    float magnitude;
    std::memcpy(&magnitude, &bits, sizeof(bits));
    const float shifted = magnitude + 0.5f;  // the ulp of 0.5 is 2^-24
    std::memcpy(&bits, &shifted, sizeof(bits));
    return static_cast<uint16_t>(sign | (bits - 0x3F000000u));
  }
  return static_cast<uint16_t>(sign | ((bits + 0xFFFu + ((bits >> 13) & 1u) - (112u << 23)) >> 13));
}

/// The scale of n channels, as f16 and its inverse (0 for a scale of 0). Channels that are not
/// finite make it NaN, so that the damage shows in what reads them.
struct Scale {
  uint16_t f16;
  float inverse;
};
Scale scale_for(float value_of_code_1, float poison) {
  if (poison != 0) return {kF16Nan, 0};  // NaN is no 0
  const float wanted = simd::CORRAL_ISA::max(min(value_of_code_1, kLargestF16), -kLargestF16);
  const uint16_t f16 = to_f16(wanted);
  const float d = simd::CORRAL_ISA::f16_to_f32(f16);
  return {f16, d == 0 ? 0 : 1.0f / d};
}

int to_code(float x, float inverse, int least, int most) {
  const float code = x * inverse;
  const float rounded = code < 0 ? code - 0.5f : code + 0.5f;
  if (rounded <= static_cast<float>(least)) return least;
  if (rounded >= static_cast<float>(most)) return most;
  return static_cast<int>(rounded);
}

/// The greatest magnitude of n channels with its sign. poison: 0 if all are finite, else NaN.
float greatest(const float* x, int64_t n, float* poison) {
  float most = 0;
  *poison = 0;
  for (int64_t c = 0; c < n; ++c) {
    *poison += x[c] * 0.0f;
    if (__builtin_fabsf(x[c]) > __builtin_fabsf(most)) most = x[c];
  }
  return most;
}

/// Codes -127 to 127 and the scale of one block of up to 32 channels.
uint16_t quantize_q8(const float* x, int64_t n, int8_t* codes) {
  float poison;
  const float most = __builtin_fabsf(greatest(x, n, &poison));
  const Scale scale = scale_for(most / 127.0f, poison);
  for (int64_t c = 0; c < n; ++c) {
    codes[c] =
        poison != 0 ? int8_t{0} : static_cast<int8_t>(to_code(x[c], scale.inverse, -127, 127));
  }
  return scale.f16;
}

/// Codes 0 to 15; those of channels that are not there mean 0.
uint16_t quantize_q4(const float* x, int64_t n, uint8_t* codes) {
  float poison;
  const float most = greatest(x, n, &poison);
  const Scale scale = scale_for(most / -8.0f, poison);
  for (int64_t c = 0; c < kScaleChannels; ++c) {
    const int code = c < n && poison == 0 ? to_code(x[c], scale.inverse, -8, 7) : 0;
    codes[c] = static_cast<uint8_t>(code + 8);
  }
  return scale.f16;
}

void store_key_f32(const float* k, int64_t C, int64_t token, void* tile) {
  float* to = static_cast<float*>(tile) + token;
  for (int64_t c = 0; c < C; ++c) to[c * kKeyTile] = k[c];
}
void store_value_f32(const float* v, int64_t C, int64_t token, void* tile) {
  std::memcpy(static_cast<float*>(tile) + token * C, v, static_cast<size_t>(C) * sizeof(float));
}

void store_key_bf16(const float* k, int64_t C, int64_t token, void* tile) {
  uint16_t* to = static_cast<uint16_t*>(tile) + 2 * token;
  for (int64_t c = 0; c < C; c += 2) {
    to[c * kKeyTile] = simd::CORRAL_ISA::f32_to_bf16(k[c]);
    to[c * kKeyTile + 1] = simd::CORRAL_ISA::f32_to_bf16(k[c + 1]);
  }
}
void store_value_bf16(const float* v, int64_t C, int64_t token, void* tile) {
  uint16_t* to = static_cast<uint16_t*>(tile) + token / 2 * 2 * C + token % 2;
  for (int64_t c = 0; c < C; ++c) to[2 * c] = simd::CORRAL_ISA::f32_to_bf16(v[c]);
}

void store_key_q8(const float* k, int64_t C, int64_t token, void* tile) {
  auto* codes = static_cast<int8_t*>(tile) + token;
  auto* scales = reinterpret_cast<uint16_t*>(static_cast<int8_t*>(tile) + C * kKeyTile) + token;
  for (int64_t c = 0; c < C; c += kScaleChannels) {
    int8_t block[kScaleChannels];
    const int64_t n = min(kScaleChannels, C - c);
    scales[c / kScaleChannels * kKeyTile] = quantize_q8(k + c, n, block);
    for (int64_t i = 0; i < n; ++i) codes[(c + i) * kKeyTile] = block[i];
  }
}
void store_value_q8(const float* v, int64_t C, int64_t token, void* tile) {
  auto* codes = static_cast<int8_t*>(tile) + token * C;
  auto* scales = reinterpret_cast<uint16_t*>(static_cast<int8_t*>(tile) + C * kKeyTile) +
                 token * scale_blocks(C);
  for (int64_t c = 0; c < C; c += kScaleChannels) {
    scales[c / kScaleChannels] = quantize_q8(v + c, min(kScaleChannels, C - c), codes + c);
  }
}

void store_key_q4(const float* k, int64_t C, int64_t token, void* tile) {
  auto* codes = static_cast<uint8_t*>(tile) + token;
  auto* scales =
      reinterpret_cast<uint16_t*>(static_cast<uint8_t*>(tile) + C / 2 * kKeyTile) + token;
  for (int64_t c = 0; c < C; c += kScaleChannels) {
    uint8_t block[kScaleChannels];
    const int64_t n = min(kScaleChannels, C - c);
    scales[c / kScaleChannels * kKeyTile] = quantize_q4(k + c, n, block);
    for (int64_t i = 0; i < n; i += 2) {
      codes[(c + i) / 2 * kKeyTile] = static_cast<uint8_t>(block[i] | (block[i + 1] << 4));
    }
  }
}
void store_value_q4(const float* v, int64_t C, int64_t token, void* tile) {
  constexpr int64_t kHalf = kScaleChannels / 2;
  const int64_t blocks = scale_blocks(C);
  auto* codes = static_cast<uint8_t*>(tile) + token * blocks * kHalf;
  auto* scales =
      reinterpret_cast<uint16_t*>(static_cast<uint8_t*>(tile) + kKeyTile * blocks * kHalf) +
      token * blocks;
  for (int64_t b = 0; b < blocks; ++b) {
    uint8_t block[kScaleChannels];
    const int64_t c = b * kScaleChannels;
    scales[b] = quantize_q4(v + c, min(kScaleChannels, C - c), block);
    for (int64_t i = 0; i < kHalf; ++i) {
      codes[b * kHalf + i] = static_cast<uint8_t>(block[i] | (block[i + kHalf] << 4));
    }
  }
}

template <class Keys>
void load_keys(const Keys& keys, int64_t C, float* k) {
  constexpr int64_t kBlock = Keys::kBlock < kScaleChannels ? Keys::kBlock : kScaleChannels;
  for (int64_t block = 0; block < C; block += kBlock) {
    for (int64_t key = 0; key < kKeyTile; key += kLanes) {
      Array<F32, 1> scale;
      keys.template open<1>(block, key, scale);
      for (int64_t c = block; c < min(C, block + kBlock); c += Keys::kStep) {
        Registers<Keys::kStep, 1> channels;
        keys.template read<1>(c, key, scale, channels);
        for (int step = 0; step < Keys::kStep; ++step) {
          store(k + (c + step) * kKeyTile + key, channels[step][0]);
        }
      }
    }
  }
}

template <class Values>
void load_values(const Values& values, int64_t C, float* v) {
  for (int64_t j = 0; j < kKeyTile; j += Values::kStep) {
    for (int64_t c = 0; c < C; c += kLanes) {
      Registers<Values::kStep, 1> value;
      values.template read<1>(j, c, value);
      for (int step = 0; step < Values::kStep; ++step)
        store(v + (j + step) * C + c, value[step][0]);
    }
  }
}

void load_keys_f32(const void* tile, int64_t C, float* k) {
  load_keys(F32Keys{static_cast<const float*>(tile)}, C, k);
}
void load_values_f32(const void* tile, int64_t C, float* v) {
  load_values(F32Values{static_cast<const float*>(tile), C}, C, v);
}
void load_keys_bf16(const void* tile, int64_t C, float* k) {
  load_keys(Bf16Keys{static_cast<const uint16_t*>(tile)}, C, k);
}
void load_values_bf16(const void* tile, int64_t C, float* v) {
  load_values(Bf16Values{static_cast<const uint16_t*>(tile), C}, C, v);
}
void load_keys_q8(const void* tile, int64_t C, float* k) { load_keys(Q8Keys(tile, C), C, k); }
void load_values_q8(const void* tile, int64_t C, float* v) { load_values(Q8Values(tile, C), C, v); }
void load_keys_q4(const void* tile, int64_t C, float* k) { load_keys(Q4Keys(tile, C), C, k); }
void load_values_q4(const void* tile, int64_t C, float* v) { load_values(Q4Values(tile, C), C, v); }

}  // namespace

extern const KvTileKernel kKvTiles[kKvFormats];
const KvTileKernel kKvTiles[kKvFormats] = {
    {store_key_f32, store_value_f32, load_keys_f32, load_values_f32},
    {store_key_bf16, store_value_bf16, load_keys_bf16, load_values_bf16},
    {store_key_q8, store_value_q8, load_keys_q8, load_values_q8},
    {store_key_q4, store_value_q4, load_keys_q4, load_values_q4}};

}  // namespace corral::ops::CORRAL_ISA
