#include "quant/interleaved.h"

#include <cstring>

#include "quant/q8_0.h"

namespace corral::quant {
namespace {

constexpr int64_t kWords = kQ8BlockElements / 4;
constexpr int64_t kScaleBytes = kQ8BlockBytes - kQ8BlockElements;
constexpr int64_t kCodesBytes = kInterleavedRows * kQ8BlockElements;
constexpr uint32_t kSigns = 0x80808080;  // code + 128 of four codes

/// Where a word of a row is in its group, and its scale.
int64_t word_place(int64_t word, int64_t row) { return (word * kInterleavedRows + row) * 4; }
int64_t scale_place(int64_t row) { return kCodesBytes + row * kScaleBytes; }

void move_word(const std::byte* from, std::byte* to) {
  uint32_t word;
  std::memcpy(&word, from, sizeof(word));
  word ^= kSigns;
  std::memcpy(to, &word, sizeof(word));
}

}  // namespace

bool can_interleave(const LinearWeight& w) {
  return w.data.dtype() == DType::kQ8_0 && w.coding == Coding::kNone && w.offset == 0 &&
         w.stride_in == 1 && w.stride_out == w.in_features &&
         (w.count == 1 || w.stride_count == w.out_features * w.in_features) &&
         w.count * w.out_features * w.in_features == w.data.numel() &&
         w.out_features % kInterleavedRows == 0 && w.data.numel() > 0;
}

void interleave_q8_0(const std::byte* rows, int64_t groups, std::byte* to) {
  for (int64_t g = 0; g < groups; ++g, to += kInterleavedGroupBytes) {
    for (int64_t row = 0; row < kInterleavedRows; ++row) {
      const std::byte* const block = rows + (row * groups + g) * kQ8BlockBytes;
      std::memcpy(to + scale_place(row), block, kScaleBytes);
      for (int64_t word = 0; word < kWords; ++word) {
        move_word(block + kScaleBytes + 4 * word, to + word_place(word, row));
      }
    }
  }
}

void read_interleaved_q8_0(const std::byte* interleaved, int64_t row, int64_t groups,
                           std::byte* blocks) {
  for (int64_t g = 0; g < groups; ++g) {
    const std::byte* const group = interleaved + g * kInterleavedGroupBytes;
    std::byte* const block = blocks + g * kQ8BlockBytes;
    std::memcpy(block, group + scale_place(row), kScaleBytes);
    for (int64_t word = 0; word < kWords; ++word) {
      move_word(group + word_place(word, row), block + kScaleBytes + 4 * word);
    }
  }
}

}  // namespace corral::quant
