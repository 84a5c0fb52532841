#include "ops/rope/rope.h"

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "autograd/tape.h"
#include "base/small_vector.h"
#include "ops/rope/rope_kernel.h"

namespace corral::ops {
namespace {

constexpr int64_t kGrain = 1 << 14;  // elements

// The table row of each token, in a table that somebody keeps or in memory of its own.
struct Angles {
  SmallVector<const float*, 8> rows;
  std::vector<float> own;
};

Angles angles_of(std::span<const int64_t> positions, const RopeFrequencies& f, int64_t period,
                 ThreadPool& threads) {
  if (period < 0) throw UsageError(str("rope: period ", period, " is negative"));
  int64_t most = 0;
  for (const int64_t position : positions) {
    if (position < 0) throw UsageError(str("rope: position ", position, " is negative"));
    most = std::max(most, period > 0 ? position % period : position);
  }
  Angles angles;
  angles.rows.resize(positions.size());
  if (const RopeTable* table = f.table(most + 1, period > 0)) {
    for (size_t t = 0; t < positions.size(); ++t) {
      angles.rows[t] = table->row(period > 0 ? positions[t] % period : positions[t]);
    }
    return angles;
  }
  const int64_t floats = 2 * f.head_dim();
  const auto T = static_cast<int64_t>(positions.size());
  angles.own.resize(static_cast<size_t>(T * floats));
  threads.parallel_for(T, 16, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      float* row = angles.own.data() + t * floats;
      f.fill_row(positions[static_cast<size_t>(t)], period, row);
      angles.rows[static_cast<size_t>(t)] = row;
    }
  });
  return angles;
}

Angles angles_of(std::span<const int64_t> rows, const RopeTable& table) {
  Angles angles;
  angles.rows.resize(rows.size());
  for (size_t t = 0; t < rows.size(); ++t) {
    if (rows[t] < 0 || rows[t] >= table.rows) {
      throw UsageError(str("rope: row ", rows[t], ", the table has ", table.rows));
    }
    angles.rows[t] = table.row(rows[t]);
  }
  return angles;
}

void rotate(const float* x, const Angles& angles, bool inverse, Tensor& y_THC) {
  const RopeKernel& kernel =
      simd::choose(y_THC.device()->isa(), portable::kRope, avx2::kRope, avx512::kRope);
  const int64_t H = y_THC.dim(1);
  const int64_t C = y_THC.dim(2);
  auto* y = y_THC.mutable_data<float>();
  y_THC.device()->threads().parallel_for(
      y_THC.dim(0), std::max<int64_t>(1, kGrain / std::max<int64_t>(1, H * C)),
      [&](int64_t begin, int64_t end) {
        kernel.rotate(x + begin * H * C, angles.rows.data() + begin, end - begin, H, C, inverse,
                      y + begin * H * C);
      });
}

Tensor rotated(Tensor&& x_THC, const Angles& angles, bool recorded) {
  const float* x = x_THC.data<float>();
  Tensor y_THC = autograd::reuse_or_new(std::move(x_THC), recorded);
  rotate(x, angles, false, y_THC);
  return y_THC;
}

Tensor rotated_back(const Tensor& dy_THC, const Angles& angles) {
  Tensor dx_THC = empty_like(dy_THC);
  rotate(dy_THC.data<float>(), angles, true, dx_THC);
  return dx_THC;
}

void check(const Tensor& x_THC, size_t tokens, int64_t head_dim) {
  if (x_THC.rank() != 3 || x_THC.dim(2) != head_dim ||
      x_THC.dim(0) != static_cast<int64_t>(tokens)) {
    throw ShapeError(str("rope: x is ", x_THC.shape(), ", needs [", tokens, " positions, heads, ",
                         head_dim, "]"));
  }
  if (x_THC.dtype() != DType::kF32) {
    throw NotSupported(str("rope: x is ", x_THC.dtype(), ", needs f32"));
  }
}

/// x at `positions`, which have these angles, and on the tape.
Tensor rotated_to(Tensor&& x_THC, const Angles& angles, std::span<const int64_t> positions,
                  const RopeFrequencies& f, int64_t period) {
  const bool recorded = autograd::recording({x_THC});
  Tensor y_THC = rotated(std::move(x_THC), angles, recorded);
  if (!recorded) return y_THC;
  return autograd::record(
      "rope", {x_THC}, y_THC,
      [kept = std::vector<int64_t>(positions.begin(), positions.end()), f, period](
          const Tensor& dy_THC, autograd::GradientSink& sink) {
        sink.add(0, rotated_back(dy_THC, angles_of(kept, f, period, dy_THC.device()->threads())));
      });
}

}  // namespace

Tensor rope(Tensor x_THC, std::span<const int64_t> positions, const RopeFrequencies& f,
            int64_t period) {
  check(x_THC, positions.size(), f.head_dim());
  const Angles angles = angles_of(positions, f, period, x_THC.device()->threads());
  return rotated_to(std::move(x_THC), angles, positions, f, period);
}

std::pair<Tensor, Tensor> rope(Tensor q_THC, Tensor k_TKC, std::span<const int64_t> positions,
                               const RopeFrequencies& f, int64_t period) {
  check(q_THC, positions.size(), f.head_dim());
  check(k_TKC, positions.size(), f.head_dim());
  const Angles angles = angles_of(positions, f, period, q_THC.device()->threads());
  return {rotated_to(std::move(q_THC), angles, positions, f, period),
          rotated_to(std::move(k_TKC), angles, positions, f, period)};
}

Tensor rope(Tensor x_THC, std::span<const int64_t> rows, std::shared_ptr<const RopeTable> table) {
  check(x_THC, rows.size(), table->head_dim());
  const bool recorded = autograd::recording({x_THC});
  Tensor y_THC = rotated(std::move(x_THC), angles_of(rows, *table), recorded);
  if (!recorded) return y_THC;
  return autograd::record(
      "rope", {x_THC}, y_THC,
      [kept = std::vector<int64_t>(rows.begin(), rows.end()), table = std::move(table)](
          const Tensor& dy_THC, autograd::GradientSink& sink) {
        sink.add(0, rotated_back(dy_THC, angles_of(kept, *table)));
      });
}

}  // namespace corral::ops
