#include "quant/interleaved.h"

#include <cstring>

#include "base/error.h"
#include "quant/q8_0.h"

namespace corral::quant {
namespace {

constexpr int64_t kWordBytes = 4;

/// How rows of a type are cut: into groups of words, with a scale before them. Words of all rows
/// come to lie beside each other, and behind them the scales.
template <int64_t kWords, int64_t kScaleBytes>
class Cut {
 public:
  Cut(DType dtype, const Interleaving& how, int64_t columns)
      : rows_(how.rows),
        row_bytes_(bytes_of(dtype, columns)),
        flipped_(how.unsigned_codes && dtype == DType::kQ8_0 ? kSigns : 0) {}

  /// Whole groups from the byte `begin` of a row on; returns the byte behind them.
  int64_t interleave(const std::byte* rows, int64_t begin, std::byte* to) const {
    int64_t group = begin;
    for (; group + kGroupBytes <= row_bytes_; group += kGroupBytes) {
      for (int64_t row = 0; row < rows_; ++row) {
        const std::byte* const from = rows + row * row_bytes_ + group;
        std::byte* const group_to = to + group * rows_;
        std::memcpy(group_to + scale_place(row), from, kScaleBytes);
        for (int64_t word = 0; word < kWords; ++word) {
          move(from + kScaleBytes + word * kWordBytes, group_to + word_place(word, row));
        }
      }
    }
    return group;
  }
  void read(const std::byte* interleaved, int64_t row, std::byte* to) const {
    for (int64_t group = 0; group < row_bytes_; group += kGroupBytes, to += kGroupBytes) {
      const std::byte* const from = interleaved + group * rows_;
      std::memcpy(to, from + scale_place(row), kScaleBytes);
      for (int64_t word = 0; word < kWords; ++word) {
        move(from + word_place(word, row), to + kScaleBytes + word * kWordBytes);
      }
    }
  }

 private:
  static constexpr int64_t kGroupBytes = kScaleBytes + kWords * kWordBytes;
  // The sign of a code is that of code + 128, turned.
  static constexpr uint32_t kSigns = 0x80808080;

  int64_t word_place(int64_t word, int64_t row) const { return (word * rows_ + row) * kWordBytes; }
  int64_t scale_place(int64_t row) const { return word_place(kWords, 0) + row * kScaleBytes; }
  void move(const std::byte* from, std::byte* to) const {
    uint32_t word;
    std::memcpy(&word, from, kWordBytes);
    word ^= flipped_;
    std::memcpy(to, &word, kWordBytes);
  }

  int64_t rows_;
  int64_t row_bytes_;
  uint32_t flipped_;
};

using FloatCut = Cut<1, 0>;
using FloatLines = Cut<16, 0>;  // the same a line of a row at a time: faster
using Q8Cut = Cut<kQ8BlockElements / kWordBytes, kQ8BlockBytes - kQ8BlockElements>;

bool has_cut(DType dtype) {
  return dtype == DType::kF32 || dtype == DType::kBF16 || dtype == DType::kQ8_0;
}
void check(DType dtype) {
  if (!has_cut(dtype)) throw NotSupported(str("rows of ", dtype, " cannot be interleaved"));
}

}  // namespace

bool can_interleave(const LinearWeight& w, const Interleaving& how) {
  return how && has_cut(w.data.dtype()) && w.coding == Coding::kNone && w.offset == 0 &&
         w.stride_in == 1 && w.stride_out == w.in_features &&
         (w.count == 1 || w.stride_count == w.out_features * w.in_features) &&
         w.count * w.out_features * w.in_features == w.data.numel() && w.data.numel() > 0 &&
         w.out_features % how.rows == 0 && w.in_features % 2 == 0;
}

void interleave(DType dtype, const Interleaving& how, const std::byte* rows, int64_t columns,
                std::byte* to) {
  check(dtype);
  if (dtype == DType::kQ8_0) {
    Q8Cut(dtype, how, columns).interleave(rows, 0, to);
  } else {
    const int64_t done = FloatLines(dtype, how, columns).interleave(rows, 0, to);
    FloatCut(dtype, how, columns).interleave(rows, done, to);
  }
}

void read_interleaved(DType dtype, const Interleaving& how, const std::byte* interleaved,
                      int64_t row, int64_t columns, std::byte* to) {
  check(dtype);
  if (dtype == DType::kQ8_0) {
    Q8Cut(dtype, how, columns).read(interleaved, row, to);
  } else {
    FloatCut(dtype, how, columns).read(interleaved, row, to);
  }
}

}  // namespace corral::quant
