#include "simd/tiles.h"
#include "tensor/peak_kernel.h"

namespace corral::CORRAL_ISA {
namespace {

constexpr int kTiles = 4;  // independent sums hide the latency

// A product of tiles takes as long as a hundred vector instructions.
constexpr int64_t kRoundsEach = 8;

/// Rounds of multiply() into each of four tiles of 16 rows of 64 bytes, zeros. Returns the
/// products.
template <class F>
double run_tiles(int64_t rounds, const F& multiply) {
  simd::CORRAL_ISA::TileShapes shapes;
  for (int tile = 0; tile < 8; ++tile) shapes.set(tile, 16, 64);
  simd::CORRAL_ISA::load_shapes(shapes);
  const int64_t count = rounds / kRoundsEach;
  for (int64_t i = 0; i < count; ++i) multiply();
  simd::CORRAL_ISA::release_tiles();
  return static_cast<double>(count * kTiles);
}

double bf16(int64_t rounds, float*) {
  const double products = run_tiles(rounds, [] {
    simd::CORRAL_ISA::add_products_of_bf16<0, 4, 6>();
    simd::CORRAL_ISA::add_products_of_bf16<1, 4, 7>();
    simd::CORRAL_ISA::add_products_of_bf16<2, 5, 6>();
    simd::CORRAL_ISA::add_products_of_bf16<3, 5, 7>();
  });
  return 2.0 * 16 * 16 * 32 * products;
}

double int8(int64_t rounds, float*) {
  const double products = run_tiles(rounds, [] {
    simd::CORRAL_ISA::add_products_of_bytes<0, 4, 6, true>();
    simd::CORRAL_ISA::add_products_of_bytes<1, 4, 7, true>();
    simd::CORRAL_ISA::add_products_of_bytes<2, 5, 6, true>();
    simd::CORRAL_ISA::add_products_of_bytes<3, 5, 7, true>();
  });
  return 2.0 * 16 * 16 * 64 * products;
}

}  // namespace

extern const TilePeaks kPeak;
const TilePeaks kPeak = {bf16, int8};

}  // namespace corral::CORRAL_ISA
