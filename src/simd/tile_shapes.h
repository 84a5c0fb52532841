#pragma once

// What the tile registers of AMX are told before they are used. For *_amx.cc files.

#include <cstdint>

namespace corral::simd::CORRAL_ISA {

/// The shapes of the eight tiles, as the processor wants to be told.
struct TileShapes {
  uint8_t palette = 1;
  uint8_t start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};

  void set(int tile, int64_t tile_rows, int64_t bytes) {
    rows[tile] = static_cast<uint8_t>(tile_rows);
    row_bytes[tile] = static_cast<uint16_t>(bytes);
  }
};
static_assert(sizeof(TileShapes) == 64);

}  // namespace corral::simd::CORRAL_ISA
