#pragma once

#include "quant/block_format.h"
#include "support/tensors.h"

namespace corral::test {

/// Where the 16-bit scales of a block are.
inline std::vector<int64_t> scale_places(DType dtype) {
  switch (dtype) {
    case DType::kMXFP4:
      return {};
    case DType::kQ4_1:
    case DType::kQ5_1:
    case DType::kQ4_K:
    case DType::kQ5_K:
      return {0, 2};
    case DType::kQ2_K:
      return {80, 82};
    case DType::kQ3_K:
      return {108};
    case DType::kQ6_K:
      return {208};
    default:
      return {0};
  }
}

/// Blocks of any type whose bytes are byte(i), but for their 16-bit scales, a pure function of seed
/// between 0.01 and 0.02, so that values are of ordinary size.
template <class F>
Tensor blocks_of(const Shape& shape, DType dtype, uint64_t seed, const DevicePtr& device,
                 const F& byte) {
  Tensor x(shape, dtype, device);
  auto* bytes = reinterpret_cast<uint8_t*>(x.mutable_data<std::byte>());
  const Philox random(seed);
  for (int64_t i = 0; i < x.size_bytes(); ++i) bytes[i] = byte(i);
  for (int64_t b = 0; b < x.size_bytes(); b += block_bytes(dtype)) {
    for (const int64_t at : scale_places(dtype)) {
      const auto scale = 0.01 * (1 + random.uniform(static_cast<uint64_t>(b + at)));
      const uint16_t bits = f32_to_f16(static_cast<float>(scale));
      std::memcpy(bytes + b + at, &bits, sizeof(bits));
    }
    if (dtype == DType::kMXFP4) bytes[b] = static_cast<uint8_t>(118 + bytes[b] % 8);
  }
  return x;
}

/// Random blocks of any type, a pure function of shape and seed: every code occurs.
inline Tensor random_blocks(const Shape& shape, DType dtype, uint64_t seed,
                            const DevicePtr& device = test_device()) {
  const Philox random(seed);
  return blocks_of(shape, dtype, seed, device, [&](int64_t i) {
    return static_cast<uint8_t>(random.uniform(static_cast<uint64_t>(i)) * 256);
  });
}

/// Every block type.
inline std::vector<DType> block_types() {
  std::vector<DType> types;
  for (const DType dtype : all_dtypes()) {
    if (is_block(dtype)) types.push_back(dtype);
  }
  return types;
}

}  // namespace corral::test
