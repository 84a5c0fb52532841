// Pictures as phones take them, from pixels to tiles. Bytes are those of the picture, read once;
// the floor is reading them once for the canvas and once for the global tile.
#include <benchmark/benchmark.h>

#include "media/tiles.h"

namespace corral::media {
namespace {

void tiles_of_photo(benchmark::State& state) {
  const int64_t width = state.range(0);
  const int64_t height = state.range(1);
  const DevicePtr device = Device::cpu({.threads = static_cast<int>(state.range(2))});
  Image image{width, height, std::vector<uint8_t>(static_cast<size_t>(width * height * 3))};
  for (size_t i = 0; i < image.rgb.size(); ++i) image.rgb[i] = static_cast<uint8_t>(i * 7);
  for (auto _ : state) benchmark::DoNotOptimize(tile_image(image, {}, device));
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(image.rgb.size()));
}
BENCHMARK(tiles_of_photo)
    ->ArgNames({"width", "height", "threads"})
    ->Args({4000, 3000, 1})
    ->Args({4000, 3000, 2})
    ->Args({512, 512, 1})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace corral::media
