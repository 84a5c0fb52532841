#include "quant/interleaved.h"

#include <cstring>

#include "base/error.h"
#include "quant/q8_0.h"

namespace corral::quant {
namespace {

constexpr int64_t kWordBytes = 4;

/// How rows of a type are cut: into groups of words, with a scale before them. Words of 32 rows
/// come to lie beside each other, and behind them the scales. kFlipped: bits of a word.
template <int64_t kWords, int64_t kScaleBytes, uint32_t kFlipped>
struct Cut {
  static constexpr int64_t kGroupBytes = kScaleBytes + kWords * kWordBytes;

  /// Whole groups from the byte `begin` of a row on; returns the byte behind them.
  static int64_t interleave(const std::byte* rows, int64_t row_bytes, int64_t begin,
                            std::byte* to) {
    int64_t group = begin;
    for (; group + kGroupBytes <= row_bytes; group += kGroupBytes) {
      for (int64_t row = 0; row < kInterleavedRows; ++row) {
        const std::byte* const from = rows + row * row_bytes + group;
        std::byte* const group_to = to + group * kInterleavedRows;
        std::memcpy(group_to + scale_place(row), from, kScaleBytes);
        for (int64_t word = 0; word < kWords; ++word) {
          move(from + kScaleBytes + word * kWordBytes, group_to + word_place(word, row));
        }
      }
    }
    return group;
  }
  static void read(const std::byte* interleaved, int64_t row, int64_t row_bytes, std::byte* to) {
    for (int64_t group = 0; group < row_bytes; group += kGroupBytes, to += kGroupBytes) {
      const std::byte* const from = interleaved + group * kInterleavedRows;
      std::memcpy(to, from + scale_place(row), kScaleBytes);
      for (int64_t word = 0; word < kWords; ++word) {
        move(from + word_place(word, row), to + kScaleBytes + word * kWordBytes);
      }
    }
  }

 private:
  static int64_t word_place(int64_t word, int64_t row) {
    return (word * kInterleavedRows + row) * kWordBytes;
  }
  static int64_t scale_place(int64_t row) { return word_place(kWords, 0) + row * kScaleBytes; }
  static void move(const std::byte* from, std::byte* to) {
    uint32_t word;
    std::memcpy(&word, from, kWordBytes);
    word ^= kFlipped;
    std::memcpy(to, &word, kWordBytes);
  }
};

using FloatCut = Cut<1, 0, 0>;
using FloatLines = Cut<16, 0, 0>;  // the same a line of a row at a time: faster
// The sign of a code is that of code + 128, turned.
using Q8Cut = Cut<kQ8BlockElements / kWordBytes, kQ8BlockBytes - kQ8BlockElements, 0x80808080>;

bool has_cut(DType dtype) {
  return dtype == DType::kF32 || dtype == DType::kBF16 || dtype == DType::kQ8_0;
}
void check(DType dtype) {
  if (!has_cut(dtype)) throw NotSupported(str("rows of ", dtype, " cannot be interleaved"));
}

}  // namespace

bool can_interleave(const LinearWeight& w) {
  return has_cut(w.data.dtype()) && w.coding == Coding::kNone && w.offset == 0 &&
         w.stride_in == 1 && w.stride_out == w.in_features &&
         (w.count == 1 || w.stride_count == w.out_features * w.in_features) &&
         w.count * w.out_features * w.in_features == w.data.numel() && w.data.numel() > 0 &&
         w.out_features % kInterleavedRows == 0 && w.in_features % 2 == 0;
}

void interleave(DType dtype, const std::byte* rows, int64_t columns, std::byte* to) {
  check(dtype);
  const int64_t row_bytes = bytes_of(dtype, columns);
  if (dtype == DType::kQ8_0) {
    Q8Cut::interleave(rows, row_bytes, 0, to);
  } else {
    const int64_t done = FloatLines::interleave(rows, row_bytes, 0, to);
    FloatCut::interleave(rows, row_bytes, done, to);
  }
}

void read_interleaved(DType dtype, const std::byte* interleaved, int64_t row, int64_t columns,
                      std::byte* to) {
  check(dtype);
  const auto read = dtype == DType::kQ8_0 ? Q8Cut::read : FloatCut::read;
  read(interleaved, row, bytes_of(dtype, columns), to);
}

}  // namespace corral::quant
