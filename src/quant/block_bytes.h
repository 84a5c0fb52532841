#pragma once

// Reading and writing the fields of a block, for the format files of this folder only. Blocks lie
// anywhere, without alignment.

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "tensor/dtype.h"

namespace corral::quant {

inline const uint8_t* as_u8(const std::byte* at) { return reinterpret_cast<const uint8_t*>(at); }
inline uint8_t* as_u8(std::byte* at) { return reinterpret_cast<uint8_t*>(at); }

inline uint16_t load_u16(const uint8_t* at) {
  uint16_t bits;
  std::memcpy(&bits, at, sizeof(bits));
  return bits;
}
inline void store_u16(uint8_t* at, uint16_t bits) { std::memcpy(at, &bits, sizeof(bits)); }

inline float load_f16(const uint8_t* at) { return f16_to_f32(load_u16(at)); }
inline void store_f16(uint8_t* at, float value) { store_u16(at, f32_to_f16(value)); }

/// Element i of 32 codes of four bits in 16 bytes: the low halves hold elements 0 to 15, the high
/// ones 16 to 31.
inline int low_high_nibble(const uint8_t* bytes, int64_t i) {
  return i < 16 ? bytes[i] & 15 : bytes[i - 16] >> 4;
}

/// Sets element i of 32 codes of four bits, whose bytes are zero before.
inline void put_low_high_nibble(uint8_t* bytes, int64_t i, int code) {
  bytes[i % 16] = static_cast<uint8_t>(bytes[i % 16] | code << (i < 16 ? 0 : 4));
}

/// Adds bits to a byte that has zeros there.
inline void put_bits(uint8_t& byte, int bits, int64_t shift) {
  byte = static_cast<uint8_t>(byte | bits << shift);
}

}  // namespace corral::quant
