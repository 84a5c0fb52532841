#pragma once

// Bytes of sixteen rows of B as words, for AVX-512 and AVX2: the form in which panels take whole
// vectors of them. For *_isa.cc files.

#include "ops/matmul/block_quad.h"

#if defined(__AVX2__)

namespace corral::ops::CORRAL_ISA {
namespace {

/// A place in sixteen rows that lie one behind the other. Sixteen addresses would not fit into
/// registers, and reading them takes as long as reading the rows.
class SixteenRowsAt {
 public:
  SixteenRowsAt(const std::byte* first, int64_t row_bytes)
      : row_bytes_(row_bytes), three_rows_bytes_(3 * row_bytes) {
    for (int i = 0; i < 4; ++i) {
      four_[i] = first + 4 * i * row_bytes;
      // Else compilers find that these follow from one another, and make sixteen of them.
      asm("" : "+r"(four_[i]));
    }
  }
  const std::byte* operator[](int row) const {
    const std::byte* const at = four_[row / 4];
    return row % 4 == 3 ? at + three_rows_bytes_ : at + row % 4 * row_bytes_;
  }

 private:
  const std::byte* four_[4];  // every fourth row
  int64_t row_bytes_;
  int64_t three_rows_bytes_;
};

/// Bytes of sixteen rows as words: a vector holds a word of all of them. Turned before it is
/// unpacked, a packed byte is turned once for all that is in it.
template <class Rows>
struct RowWords {
  const Rows& at;

  /// Word kWord of the 16 bytes at `offset`.
  template <int kWord>
  Bytes word(int offset) const {
    Bytes words[4];
    four(offset, words);
    return words[kWord];
  }
  void four(int offset, Bytes (&words)[4]) const {
    const auto lanes = [&](int j) {
      return bytes_of_lanes(load16(at[j] + offset), load16(at[j + 4] + offset),
                            load16(at[j + 8] + offset), load16(at[j + 12] + offset));
    };
    transpose_words(lanes(0), lanes(1), lanes(2), lanes(3), words);
  }
  /// Words kWord and kWord + 4 of the 32 bytes at `offset`.
  template <int kWord>
  Codes two_words(int offset) const {
#if defined(__AVX512F__)
    const auto load = [&](int j) { return simd::CORRAL_ISA::load<__m256i>(at[j] + offset); };
    const auto both = [&](int j) -> Bytes {
      return {{reinterpret_cast<U8>(_mm512_maskz_inserti64x4(
          0xFF, _mm512_maskz_inserti64x4(0xFF, _mm512_setzero_si512(), load(j), 0), load(j + 4),
          1))}};
    };
    Bytes low[4];
    Bytes high[4];
    transpose_words(both(0), both(1), both(2), both(3), low);
    transpose_words(both(8), both(9), both(10), both(11), high);
    const auto pick = [&]<int kOrder>() -> Bytes {
      return {{reinterpret_cast<U8>(
          _mm512_maskz_shuffle_i32x4(0xFFFF, reinterpret_cast<__m512i>(low[kWord].part[0]),
                                     reinterpret_cast<__m512i>(high[kWord].part[0]), kOrder))}};
    };
    return {pick.template operator()<0x88>(), pick.template operator()<0xDD>()};
#else
    return {word<kWord>(offset), word<kWord>(offset + 16)};
#endif
  }
};

/// Word kWord of what sixteen rows have in a block each.
template <int kWord>
struct BlockWord {
  RowWords<SixteenRowsAt> rows;
  int block;  // where it begins in the rows

  template <int kAt>
  Codes nibbles_at() const {
    return nibbles(rows.word<kWord>(block + kAt));
  }
  Codes pair(int at) const { return rows.two_words<kWord>(block + at); }
#if defined(__AVX512F__)
  Codes fifth_bits(int at) const { return {sixteen_bits(at), sixteen_bits(at + 2)}; }

 private:
  /// Of a row the bits 4 * kWord to 4 * kWord + 3 of the 16 at `at`, a byte each.
  Bytes sixteen_bits(int at) const {
    // Bit i of a number goes to bit 8i + 4.
    constexpr auto kBytes = [](int bits) { return (bits * 0x204081 & 0x01010101) << 4; };
    const __m512i table =
        _mm512_setr_epi32(kBytes(0), kBytes(1), kBytes(2), kBytes(3), kBytes(4), kBytes(5),
                          kBytes(6), kBytes(7), kBytes(8), kBytes(9), kBytes(10), kBytes(11),
                          kBytes(12), kBytes(13), kBytes(14), kBytes(15));
    I32 bits;
#pragma GCC unroll 16
    for (int j = 0; j < 16; ++j) {
      bits[j] = load_word<int32_t>(rows.at[j] + block + at);
    }
    // The number of an entry is the four lowest bits.
    return {{reinterpret_cast<U8>(_mm512_maskz_permutexvar_epi32(
        0xFFFF, reinterpret_cast<__m512i>(bits >> (4 * kWord)), table))}};
  }
#else
  Codes fifth_bits(int at) const {
    Ints bits;
#pragma GCC unroll 16
    for (int j = 0; j < 16; ++j) {
      bits.part[j / 8][j % 8] = load_word<int32_t>(rows.at[j] + block + at);
    }
    return {four_bits<kWord / 2>(bits), four_bits<2 + kWord / 2>(bits)};
  }

 private:
  /// Of the 32 bits of each row the four in byte kByte that are of this word, a byte each.
  template <int kByte>
  static Bytes four_bits(const Ints& bits) {
    const __m256i order = _mm256_set1_epi32(0x01010101 * kByte) +
                          _mm256_setr_epi64x(0x0404040400000000, 0x0C0C0C0C08080808,
                                             0x0404040400000000, 0x0C0C0C0C08080808);
    const __m256i own_bit =
        _mm256_set1_epi32(kWord % 2 == 0 ? 0x08040201 : static_cast<int>(0x80402010));
    return each<Bytes>([&](int i) {
      const __m256i bytes = _mm256_shuffle_epi8(reinterpret_cast<__m256i>(bits.part[i]), order);
      const __m256i is_set = _mm256_cmpeq_epi8(_mm256_and_si256(bytes, own_bit), own_bit);
      return reinterpret_cast<U8>(is_set) & 0x10;
    });
  }
#endif
};

/// The same of a group of half a block of 256 values, made as GroupsOfRow makes lane kLane.
template <int kLane, int kWord>
struct GroupWord {
  RowWords<SixteenRowsAt> rows;

  template <int kA, int kB, int kC, int kD>
  Codes nibbles_at(int at) const {
    return nibbles(rows.word<kWord>(at + 16 * kOf<kA, kB, kC, kD>));
  }
  template <int kA, int kB, int kC, int kD>
  Codes pairs(int at) const {
    return rows.two_words<kWord>(at + 16 * kOf<kA, kB, kC, kD>);
  }
  Codes same_pair(int at) const { return rows.two_words<kWord>(at); }
  template <uint8_t kMask, int kA, int kB, int kC, int kD>
  static Codes shifted(const Codes& x) {
    constexpr int kBits = kOf<kA, kB, kC, kD>;
    return {shifted_bytes<kBits>(x.first, kMask), shifted_bytes<kBits>(x.last, kMask)};
  }
  template <uint8_t kMask, int kA, int kB, int kC, int kD>
  static Codes fields(const Codes& x) {
    return shifted<kMask, -kA, -kB, -kC, -kD>(x);
  }

 private:
  template <int kA, int kB, int kC, int kD>
  static constexpr int kOf = kLane == 0   ? kA
                             : kLane == 1 ? kB
                             : kLane == 2 ? kC
                                          : kD;
};

}  // namespace
}  // namespace corral::ops::CORRAL_ISA

#endif
