#include "quant/coded.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <numeric>

#include "quant/dense.h"

namespace corral::quant {
namespace {

constexpr int64_t kInt4Group = 128;
constexpr float kInt4Least = 1e-6f;  // keeps a group of zeros from dividing by zero
constexpr float kLargestF8 = 448;
constexpr int kInt4Offset = 8;
constexpr uint8_t kF8Nan = 0x7F;

std::array<float, 256> f8_table() {
  std::array<float, 256> table{};
  for (size_t code = 0; code < table.size(); ++code) {
    const auto exponent = static_cast<int>((code >> 3) & 15);
    const auto mantissa = static_cast<float>(code & 7);
    float value =
        exponent == 0 ? std::ldexp(mantissa, -9) : std::ldexp(8 + mantissa, exponent - 10);
    if ((code & 0x7F) == kF8Nan) value = std::numeric_limits<float>::quiet_NaN();
    table.at(code) = (code & 0x80) != 0 ? -value : value;
  }
  return table;
}

const std::array<float, 256>& f8_values() {
  static const std::array<float, 256> table = f8_table();
  return table;
}

const uint8_t* codes_of(const LinearWeight& w, int64_t index) {
  if (w.matrices) return (*w.matrices)[static_cast<size_t>(index)].data<uint8_t>();
  return w.data.data<uint8_t>();
}

// The position of a matrix's first element.
int64_t first_element(const LinearWeight& w, int64_t index) {
  return w.offset + (w.matrices ? 0 : index * w.stride_count);
}

void decode_f8(const LinearWeight& w, const uint8_t* codes, int64_t row, float* out) {
  const std::array<float, 256>& values = f8_values();
  for (int64_t k = 0; k < w.in_features; ++k) out[k] = values[codes[row + k * w.stride_in]];
}

void decode_int4(const uint8_t* codes, int64_t row, int64_t n, float* out) {
  for (int64_t k = 0; k < n; ++k) {
    const int pair = codes[(row + k) / 2];
    out[k] = static_cast<float>(((row + k) % 2 == 0 ? pair & 15 : pair >> 4) - kInt4Offset);
  }
}

LinearWeight empty_coded(const LinearWeight& like, Coding coding, int64_t groups) {
  const int64_t N = like.out_features;
  const int64_t K = like.in_features;
  const int64_t row = coding == Coding::kInt4 ? K / 2 : K;
  LinearWeight w{.data = Tensor({like.count, N, row}, DType::kU8, like.data.device()),
                 .count = like.count,
                 .out_features = N,
                 .in_features = K,
                 .stride_count = N * K,
                 .stride_out = K};
  w.coding = coding;
  w.scales = Tensor({like.count, N, groups}, DType::kF32, like.data.device());
  return w;
}

void encode_int4_group(const float* x, int64_t n, uint8_t* codes, float& scale) {
  float largest = kInt4Least;
  for (int64_t i = 0; i < n; ++i) largest = std::max(largest, std::abs(x[i]));
  scale = largest / kInt4Offset;
  const auto code = [&](float value) {
    const float q = std::clamp(std::nearbyint(value / scale), -8.0f, 7.0f);
    return static_cast<uint8_t>(static_cast<int>(q) + kInt4Offset);
  };
  for (int64_t i = 0; i < n; i += 2) {
    codes[i / 2] = static_cast<uint8_t>(code(x[i]) | (code(x[i + 1]) << 4));
  }
}

// A row's codes and scale(s) from its values, for every row of every matrix; one matrix in f32 at a
// time.
template <class EncodeRow>
void encode_rows(const LinearWeight& from, LinearWeight& to, const EncodeRow& encode_row) {
  const int64_t N = from.out_features;
  const int64_t K = from.in_features;
  const int64_t row_bytes = to.data.dim(2);
  const int64_t groups = to.scales.dim(2);
  auto* codes = to.data.mutable_data<uint8_t>();
  auto* scales = to.scales.mutable_data<float>();
  for (int64_t e = 0; e < from.count; ++e) {
    const Tensor dense = dense_f32(from, e);
    const auto* x = dense.data<float>();
    for (int64_t i = 0; i < dense.numel(); ++i) {
      if (!std::isfinite(x[i])) throw Error("a weight that is not finite cannot be quantized");
    }
    dense.device()->threads().parallel_for(N, 8, [&](int64_t begin, int64_t end) {
      for (int64_t n = begin; n < end; ++n) {
        encode_row(x + n * K, codes + (e * N + n) * row_bytes, scales + (e * N + n) * groups);
      }
    });
  }
}

}  // namespace

float f8_e4m3_to_f32(uint8_t code) { return f8_values()[code]; }

uint8_t f32_to_f8_e4m3(float value) {
  if (std::isnan(value)) return kF8Nan;
  const auto sign = static_cast<uint8_t>(std::signbit(value) ? 0x80 : 0);
  const float magnitude = std::min(std::abs(value), kLargestF8);
  if (magnitude < 0x1p-6f) {  // subnormal: multiples of 2^-9
    return static_cast<uint8_t>(sign | static_cast<uint8_t>(std::nearbyint(magnitude * 0x1p9f)));
  }
  const auto bits = std::bit_cast<uint32_t>(magnitude);
  const uint32_t rounded = bits + 0x7FFFFu + ((bits >> 20) & 1u);
  // The exponent's bias goes from 127 to 7.
  return static_cast<uint8_t>(sign | ((rounded >> 20) - (120u << 3)));
}

void decode_rows(const LinearWeight& w, int64_t index, int64_t first, int64_t n, float* out) {
  const uint8_t* codes = codes_of(w, index);
  const int64_t K = w.in_features;
  const int64_t groups = w.scales.dim(2);
  const int64_t group = K / groups;
  const auto* scales = w.scales.data<float>() + (index * w.out_features + first) * groups;
  for (int64_t i = 0; i < n; ++i, out += K) {
    const int64_t row = first_element(w, index) + (first + i) * w.stride_out;
    if (w.coding == Coding::kInt4) {
      decode_int4(codes, row, K, out);
    } else {
      decode_f8(w, codes, row, out);
    }
    for (int64_t g = 0; g < groups; ++g) {
      const float scale = scales[i * groups + g];
      for (int64_t k = g * group; k < (g + 1) * group; ++k) out[k] *= scale;
    }
  }
}

void check_coded(const char* op, const LinearWeight& w) {
  const auto need = [&](bool good, const char* what) {
    if (!good) throw ShapeError(str(op, ": a coded weight's ", what, " do not fit its shape"));
  };
  const int64_t per_byte = w.coding == Coding::kInt4 ? 2 : 1;
  const int64_t N = w.out_features;
  const int64_t K = w.in_features;
  need(w.scales.defined() && w.scales.dtype() == DType::kF32 && w.scales.rank() == 3 &&
           w.scales.dim(0) == w.count && w.scales.dim(1) == N && w.scales.dim(2) > 0 &&
           K % w.scales.dim(2) == 0,
       "scales");
  need(per_byte == 1 || (w.stride_in == 1 && w.offset % 2 == 0 && K % 2 == 0 &&
                         w.stride_out % 2 == 0 && w.stride_count % 2 == 0),
       "strides");
  need(w.offset >= 0 && w.stride_in >= 0 && w.stride_out >= 0 && w.stride_count >= 0, "strides");
  if (w.count == 0 || N == 0 || K == 0) return;
  int64_t last = w.offset + (N - 1) * w.stride_out + (K - 1) * w.stride_in;
  if (w.matrices) {
    need(std::ssize(*w.matrices) == w.count, "matrices");
    for (const Tensor& matrix : *w.matrices) need(last / per_byte < matrix.numel(), "codes");
    return;
  }
  last += (w.count - 1) * w.stride_count;
  need(last / per_byte < w.data.numel(), "codes");
}

int64_t int4_group(int64_t in_features) { return std::gcd(in_features, kInt4Group); }

LinearWeight encode_int4(const LinearWeight& w) {
  const int64_t group = int4_group(w.in_features);
  if (group % 2 != 0) {
    throw NotSupported(str("int4 needs rows of an even length, not ", w.in_features));
  }
  const int64_t groups = w.in_features / group;
  LinearWeight coded = empty_coded(w, Coding::kInt4, groups);
  encode_rows(w, coded, [&](const float* x, uint8_t* codes, float* scales) {
    for (int64_t g = 0; g < groups; ++g) {
      encode_int4_group(x + g * group, group, codes + g * group / 2, scales[g]);
    }
  });
  return coded;
}

LinearWeight encode_f8(const LinearWeight& w) {
  const int64_t K = w.in_features;
  LinearWeight coded = empty_coded(w, Coding::kF8E4M3, 1);
  encode_rows(w, coded, [&](const float* x, uint8_t* codes, float* scale) {
    float largest = 0;
    for (int64_t k = 0; k < K; ++k) largest = std::max(largest, std::abs(x[k]));
    // The bound is the reference's: a row of zeros, or nearly, keeps a finite factor.
    const float factor = largest > 0 ? std::min(kLargestF8 / largest, kLargestF8 * 512) : 1;
    *scale = 1 / factor;
    for (int64_t k = 0; k < K; ++k) codes[k] = f32_to_f8_e4m3(x[k] * factor);
  });
  return coded;
}

}  // namespace corral::quant
