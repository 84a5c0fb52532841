#include "ops/rope/rope_frequencies.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/error.h"

namespace corral::ops {
namespace {

constexpr int64_t kMostRows = 1 << 15;
constexpr int64_t kFewestRows = 256;
constexpr double kPi = 3.14159265358979323846;

bool positive(double x) { return x > 0 && std::isfinite(x); }

std::vector<float> plain_frequencies(int64_t head_dim, double theta) {
  if (head_dim <= 0 || head_dim % 2 != 0) {
    throw UsageError(str("rope: head size ", head_dim, ", needs a positive even one"));
  }
  if (!positive(theta)) throw UsageError(str("rope: theta ", theta, ", needs a positive one"));
  std::vector<float> frequencies;
  for (int64_t j = 0; j < head_dim / 2; ++j) {
    const float exponent = static_cast<float>(2 * j) / static_cast<float>(head_dim);
    const auto power = static_cast<float>(std::pow(theta, static_cast<double>(exponent)));
    frequencies.push_back(1.0f / power);
  }
  return frequencies;
}

float scaled(float frequency, const RopeScaling& scaling) {
  const auto length = static_cast<float>(scaling.original_max_position_embeddings);
  const float wavelength = static_cast<float>(2 * kPi) / frequency;
  if (wavelength < length / scaling.high_freq_factor) return frequency;
  if (wavelength > length / scaling.low_freq_factor) return frequency / scaling.factor;
  const float range = scaling.high_freq_factor - scaling.low_freq_factor;
  if (range == 0) return frequency;
  const float smooth = (length / wavelength - scaling.low_freq_factor) / range;
  return (1 - smooth) * frequency / scaling.factor + smooth * frequency;
}

// Entries of pair j of a head of C, as RopeTable lays them out.
void set_pair(float* row, int64_t C, int64_t j, double angle) {
  const auto sine = static_cast<float>(std::sin(angle));
  row[2 * j] = row[2 * j + 1] = static_cast<float>(std::cos(angle));
  row[C + 2 * j] = -sine;
  row[C + 2 * j + 1] = sine;
}

}  // namespace

const float* RopeTable::row(int64_t position) const {
  return values.data() + position * (static_cast<int64_t>(values.size()) / rows);
}

RopeFrequencies::RopeFrequencies(std::vector<float> per_pair)
    : per_pair_(std::move(per_pair)), tables_(std::make_shared<Tables>()) {
  if (per_pair_.empty()) throw UsageError("rope: no frequencies");
}

void RopeFrequencies::fill_row(int64_t position, int64_t period, float* row) const {
  const int64_t C = head_dim();
  const double reduced = static_cast<double>(period > 0 ? position % period : position);
  for (int64_t j = 0; j < C / 2; ++j) {
    const float frequency = per_pair_[static_cast<size_t>(j)];
    const double angle = period > 0 ? reduced * static_cast<double>(frequency)
                                    : static_cast<double>(static_cast<float>(reduced) * frequency);
    set_pair(row, C, j, angle);
  }
}

const RopeTable* RopeFrequencies::table(int64_t rows, bool periodic) const {
  if (rows > kMostRows) return nullptr;
  std::atomic<const RopeTable*>& newest = periodic ? tables_->periodic : tables_->plain;
  const RopeTable* kept = newest.load(std::memory_order_acquire);
  if (kept != nullptr && kept->rows >= rows) return kept;

  const std::lock_guard lock(tables_->mutex);
  kept = newest.load(std::memory_order_relaxed);
  if (kept != nullptr && kept->rows >= rows) return kept;
  tables_->made.push_back(grown(kept, rows, periodic));
  newest.store(tables_->made.back().get(), std::memory_order_release);
  return tables_->made.back().get();
}

std::unique_ptr<const RopeTable> RopeFrequencies::grown(const RopeTable* kept, int64_t rows,
                                                        bool periodic) const {
  auto grown = std::make_unique<RopeTable>();
  int64_t size = kept != nullptr ? kept->rows : kFewestRows;
  while (size < rows) size *= 2;
  grown->rows = size;
  grown->values.resize(static_cast<size_t>(size * 2 * head_dim()));
  int64_t done = 0;
  if (kept != nullptr) {
    std::copy(kept->values.begin(), kept->values.end(), grown->values.begin());
    done = kept->rows;
  }
  for (int64_t position = done; position < size; ++position) {
    fill_row(position, periodic ? size : 0, grown->values.data() + position * 2 * head_dim());
  }
  return grown;
}

std::shared_ptr<const RopeTable> rope_table_2d(int64_t head_dim, double theta, int64_t height,
                                               int64_t width) {
  if (head_dim <= 0 || head_dim % 4 != 0) {
    throw UsageError(str("rope: head size ", head_dim, ", two axes need a positive multiple of 4"));
  }
  if (height < 1 || width < 1 || height > kMostRows || width > kMostRows / height) {
    throw UsageError(str("rope: ", height, " x ", width, " patches, needs 1 to ", kMostRows));
  }
  const std::vector<float> frequencies = plain_frequencies(head_dim / 2, theta);
  const int64_t pairs = head_dim / 4;  // of an axis
  auto table = std::make_shared<RopeTable>();
  table->rows = height * width + 1;
  table->values.resize(static_cast<size_t>(table->rows * 2 * head_dim));
  for (int64_t i = 0; i < table->rows; ++i) {
    float* row = table->values.data() + i * 2 * head_dim;
    const bool turned = i < height * width;
    for (int64_t j = 0; j < pairs; ++j) {
      const float frequency = turned ? frequencies[static_cast<size_t>(j)] : 0.0f;
      const auto x = static_cast<float>(i % width + 1) * frequency;
      const auto y = static_cast<float>(i / width + 1) * frequency;
      set_pair(row, head_dim, j, static_cast<double>(x));
      set_pair(row, head_dim, pairs + j, static_cast<double>(y));
    }
  }
  return table;
}

RopeFrequencies rope_frequencies(int64_t head_dim, double theta,
                                 const std::optional<RopeScaling>& scaling) {
  std::vector<float> frequencies = plain_frequencies(head_dim, theta);
  if (!scaling) return RopeFrequencies(std::move(frequencies));
  if (!positive(scaling->factor) || !positive(scaling->low_freq_factor) ||
      !positive(scaling->high_freq_factor) || scaling->original_max_position_embeddings <= 0) {
    throw UsageError(str("rope: scaling ", scaling->factor, ", ", scaling->low_freq_factor, ", ",
                         scaling->high_freq_factor, ", ", scaling->original_max_position_embeddings,
                         ", needs positive numbers"));
  }
  for (float& frequency : frequencies) frequency = scaled(frequency, *scaling);
  return RopeFrequencies(std::move(frequencies));
}

RopeFrequencies rope_frequencies(int64_t head_dim, double theta, std::span<const float> divisors) {
  std::vector<float> frequencies = plain_frequencies(head_dim, theta);
  if (divisors.size() != frequencies.size()) {
    throw UsageError(
        str("rope: ", divisors.size(), " divisors, needs ", frequencies.size(), ", one a pair"));
  }
  for (size_t j = 0; j < frequencies.size(); ++j) {
    if (!positive(divisors[j])) throw UsageError(str("rope: divisor ", j, " is ", divisors[j]));
    frequencies[j] /= divisors[j];
  }
  return RopeFrequencies(std::move(frequencies));
}

}  // namespace corral::ops
