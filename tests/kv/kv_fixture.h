#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "kv/kv_cache.h"

namespace corral::kv::fixture {

inline constexpr int64_t kPlenty = int64_t{1} << 30;
// One layer, one head of 16 channels, 64 tokens, keys and values.
inline constexpr int64_t kPage = 64 * 16 * 2 * 4;

inline KvLayout layout_of(std::vector<int64_t> chunk_sizes) {
  KvLayout layout;
  layout.chunk_sizes = std::move(chunk_sizes);
  layout.kv_heads = 1;
  layout.head_dim = 16;
  return layout;
}

}  // namespace corral::kv::fixture
