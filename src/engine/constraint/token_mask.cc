#include "engine/constraint/token_mask.h"

#include <bit>

namespace corral::engine {

void TokenMask::add(const TokenMask& other) {
  for (size_t i = 0; i < words_.size(); ++i) words_[i] |= other.words_[i];
}

int64_t TokenMask::count() const {
  int64_t count = 0;
  for (const uint64_t word : words_) count += std::popcount(word);
  return count;
}

}  // namespace corral::engine
