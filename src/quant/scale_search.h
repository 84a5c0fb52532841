#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "quant/scale_search_kernel.h"

namespace corral::quant {

// The search for scales that all quantizers share: the weighted squared error
// sum w (x - scale q - offset)^2 is made small, where q follows from scale and offset. For given q
// the best scale and offset are a least-squares fit; for given scale and offset the best q is the
// nearest. Sixteen starts are tried at once, fitted, and sixteen neighbours of the best are tried
// and fitted again.

CodeSet integer_codes(int lo, int hi);

/// The values of one block in units of a power of two, so that nothing overflows, and their
/// weights: the importances of their columns relative to the mean, or ones.
class BlockValues {
 public:
  /// importance: n numbers, or null. Throws Error naming the type when a value is not finite, or an
  /// importance negative or not finite.
  BlockValues(std::string_view type, const float* x, const float* importance, int64_t n);

  const float* x() const { return x_; }
  const float* w() const { return w_; }

  /// The nearest f16 of a scale or offset (both in units) as bits, and its value in units. Throws
  /// Error when it is beyond f16.
  struct Half {
    uint16_t bits;
    float value;
  };
  Half to_half(double scale) const;
  double unit() const { return unit_; }

 private:
  static constexpr int64_t kMost = 256;

  void set_weights(const float* importance, int64_t n);

  std::string_view type_;
  double unit_ = 1;
  float largest_ = 0;
  float x_[kMost];
  float w_[kMost];
};

struct Fit {
  float scale;
  float offset;
};

/// The scale of n <= kMostValues values without offset.
float fit_scale(const float* x, const float* w, int64_t n, const CodeSet& codes);

enum class Offset : uint8_t { kAny, kNotPositive };

/// Scale (not negative) and offset for codes 0 to hi.
Fit fit_scale_and_offset(const float* x, const float* w, int64_t n, int hi, Offset allowed);

/// The sums of all trials of a task.
TrialSums score(const ScaleTask& task, const CodeSet& codes);

/// The number of the set that is nearest to (x - offset) / scale, as an integer.
int nearest_code(float x, float scale, float offset, const CodeSet& codes);

}  // namespace corral::quant
