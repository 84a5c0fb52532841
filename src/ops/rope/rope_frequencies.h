#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

namespace corral::ops {

/// Llama's stretching of long wavelengths ("llama3" in config.json): with w = 2 pi / f and L the
/// original length, f stays where w < L / high_freq_factor, becomes f / factor where
/// w > L / low_freq_factor, and is mixed smoothly between. Scout: 16, 1, 1, 8192.
struct RopeScaling {
  float factor = 1;
  float low_freq_factor = 1;
  float high_freq_factor = 1;
  int64_t original_max_position_embeddings = 0;
};

/// cos and sin of some positions. A row has 2 C floats: cos of each pair twice, then -sin and sin
/// of each pair, so that y = x cos + swapped(x) sin.
struct RopeTable {
  int64_t rows = 0;
  std::vector<float> values;

  int64_t head_dim() const { return rows > 0 ? static_cast<int64_t>(values.size()) / rows / 2 : 0; }
  const float* row(int64_t position) const;
};

/// The table of the patches of an image, [height * width + 1] rows in raster order: the first half
/// of a head's pairs turns by (x + 1) f_j, the second by (y + 1) f_j, with f_j = theta^(-2j /
/// (C/2)) and j from 0 in each half. The last row is that of a class token, which is not turned.
/// head_dim C is a multiple of 4. Throws UsageError.
/// Source: VisionEncoder of models/llama4/vision in meta-llama/llama-models.
std::shared_ptr<const RopeTable> rope_table_2d(int64_t head_dim, double theta, int64_t height,
                                               int64_t width);

/// Angles per position of the C / 2 pairs of a head, and the tables made from them. A value: copies
/// share the tables. Thread-safe.
///
/// Positions below 2^15 come from a table that grows as they are asked for; beyond it each call
/// computes its rows.
class RopeFrequencies {
 public:
  /// per_pair: radians a position, one for each pair (2j, 2j + 1).
  explicit RopeFrequencies(std::vector<float> per_pair);

  const std::vector<float>& per_pair() const { return per_pair_; }
  int64_t head_dim() const { return 2 * static_cast<int64_t>(per_pair_.size()); }

  /// Writes the table row of a position. Without a period the angle is the f32 product of position
  /// and frequency, as in the reference; with one, the double product for position modulo period,
  /// right to 1e-7 at any position.
  void fill_row(int64_t position, int64_t period, float* row) const;
  /// A table of at least positions [0, rows), which lives as long as this object or a copy; null
  /// when that is too many to keep.
  const RopeTable* table(int64_t rows, bool periodic) const;

 private:
  /// A table twice as long takes the place of one that is too short, which stays for those who read
  /// it.
  struct Tables {
    std::atomic<const RopeTable*> plain{nullptr};
    std::atomic<const RopeTable*> periodic{nullptr};
    std::mutex mutex;  // of who makes one
    std::vector<std::unique_ptr<const RopeTable>> made;
  };
  std::unique_ptr<const RopeTable> grown(const RopeTable* kept, int64_t rows, bool periodic) const;

  std::vector<float> per_pair_;
  std::shared_ptr<Tables> tables_;
};

/// theta^(-2j / head_dim) for each pair, scaled; rounded to f32 at each step as the reference does
/// (far positions show every bit). Throws UsageError when head_dim is odd or not positive, or theta
/// or a factor is not positive and finite.
/// Source: precompute_freqs_cis and apply_scaling of models/llama4/model.py in
/// meta-llama/llama-models.
RopeFrequencies rope_frequencies(int64_t head_dim, double theta,
                                 const std::optional<RopeScaling>& scaling = std::nullopt);
/// theta^(-2j / head_dim) / divisors[j], as GGUF stores a scaling (rope_freqs.weight).
RopeFrequencies rope_frequencies(int64_t head_dim, double theta, std::span<const float> divisors);

}  // namespace corral::ops
