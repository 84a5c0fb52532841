#include "media/resize.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/error.h"
#include "media/resize_kernel.h"

namespace corral::media {
namespace {

constexpr int64_t kPixelBytes = 3;
constexpr int64_t kRowsGrain = 8;

/// Which inputs make output i, and with which weights.
struct Taps {
  int64_t stride = 0;            // weights of an output, zeros at the end
  std::vector<int32_t> first;    // [out]
  std::vector<int32_t> count;    // [out]
  std::vector<int32_t> weights;  // [out, stride]
};

// As Pillow rounds: what lround() makes of halves below zero and of numbers just below a half would
// be another picture.
int64_t rounded(double value) {
  const double higher = value + 0.5;
  return static_cast<int64_t>(higher);
}

Taps taps_of(int64_t in, int64_t out) {
  const double scale = static_cast<double>(in) / static_cast<double>(out);
  const double support = std::max(scale, 1.0);
  const int64_t most = std::min(static_cast<int64_t>(std::ceil(support)) * 2 + 1, in);
  Taps taps;
  taps.stride = (most + kPixelBlock - 1) / kPixelBlock * kPixelBlock;
  taps.weights.resize(static_cast<size_t>(out * taps.stride), 0);
  std::vector<double> exact(static_cast<size_t>(most));
  for (int64_t i = 0; i < out; ++i) {
    const double centre = (static_cast<double>(i) + 0.5) * scale;
    const int64_t begin = std::max(rounded(centre - support), int64_t{0});
    const int64_t end = std::min(rounded(centre + support), in);
    double sum = 0;
    for (int64_t x = begin; x < end; ++x) {
      // Pillow multiplies by 1 / support, which is not always the same as dividing.
      const double distance = std::abs((static_cast<double>(x) - centre + 0.5) * (1.0 / support));
      const double weight = distance < 1.0 ? 1.0 - distance : 0.0;
      exact[static_cast<size_t>(x - begin)] = weight;
      sum += weight;
    }
    int32_t* weights = taps.weights.data() + i * taps.stride;
    for (int64_t k = 0; k < end - begin; ++k) {
      const double weight = exact[static_cast<size_t>(k)] / sum;
      weights[k] = static_cast<int32_t>(rounded(weight * (1 << kWeightBits)));
    }
    taps.first.push_back(static_cast<int32_t>(begin));
    taps.count.push_back(static_cast<int32_t>(end - begin));
  }
  return taps;
}

const ResizeKernel& kernel_of(simd::Isa isa) {
  return simd::choose(isa, portable::kResize, avx2::kResize, avx512::kResize);
}

Image blank(int64_t width, int64_t height) {
  return {width, height, std::vector<uint8_t>(static_cast<size_t>(width * height * kPixelBytes))};
}

/// A fourth byte a pixel, so that a pixel is one lane of four.
void spread_row(const uint8_t* rgb, int64_t pixels, uint8_t* to) {
  for (int64_t i = 0; i + 1 < pixels; ++i) std::memcpy(to + 4 * i, rgb + 3 * i, 4);
  std::memcpy(to + 4 * (pixels - 1), rgb + 3 * (pixels - 1), 3);
}

Image resize_width(const Image& image, int64_t width, ThreadPool& threads, simd::Isa isa) {
  const Taps taps = taps_of(image.width, width);
  const ResizeKernel& kernel = kernel_of(isa);
  Image out = blank(width, image.height);
  threads.parallel_for(image.height, kRowsGrain, [&](int64_t begin, int64_t end) {
    std::vector<uint8_t> row(static_cast<size_t>(4 * (image.width + taps.stride + kPixelBlock)));
    for (int64_t y = begin; y < end; ++y) {
      spread_row(image.rgb.data() + y * image.width * kPixelBytes, image.width, row.data());
      kernel.horizontal(row.data(), taps.first.data(), taps.weights.data(), taps.stride,
                        out.rgb.data() + y * width * kPixelBytes, width);
    }
  });
  return out;
}

Image resize_height(const Image& image, int64_t height, ThreadPool& threads, simd::Isa isa) {
  const Taps taps = taps_of(image.height, height);
  const ResizeKernel& kernel = kernel_of(isa);
  const int64_t row_bytes = image.width * kPixelBytes;
  Image out = blank(image.width, height);
  threads.parallel_for(height, kRowsGrain, [&](int64_t begin, int64_t end) {
    for (int64_t y = begin; y < end; ++y) {
      const auto i = static_cast<size_t>(y);
      kernel.vertical(image.rgb.data() + taps.first[i] * row_bytes, row_bytes,
                      taps.weights.data() + y * taps.stride, taps.count[i],
                      out.rgb.data() + y * row_bytes, row_bytes);
    }
  });
  return out;
}

}  // namespace

Image resize(const Image& image, int64_t width, int64_t height, ThreadPool& threads,
             simd::Isa isa) {
  if (image.width < 1 || image.height < 1 || width < 1 || height < 1) {
    throw ShapeError(str("resize: from ", image.width, "x", image.height, " to ", width, "x",
                         height, ", needs sides of at least 1"));
  }
  if (static_cast<int64_t>(image.rgb.size()) != image.width * image.height * kPixelBytes) {
    throw ShapeError(str("resize: the image is ", image.width, "x", image.height,
                         ", its pixels are ", image.rgb.size(), " bytes"));
  }
  if (width == image.width && height == image.height) return image;
  if (width == image.width) return resize_height(image, height, threads, isa);
  Image wide = resize_width(image, width, threads, isa);
  if (height == image.height) return wide;
  return resize_height(wide, height, threads, isa);
}

}  // namespace corral::media
