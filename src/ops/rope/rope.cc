#include "ops/rope/rope.h"

#include <algorithm>
#include <memory>
#include <vector>

#include "autograd/tape.h"
#include "ops/rope/rope_kernel.h"

namespace corral::ops {
namespace {

constexpr int64_t kGrain = 1 << 14;  // elements

// The table row of each token, from the shared table or from memory of its own.
struct Angles {
  std::shared_ptr<const RopeTable> table;
  std::vector<float> own;
  std::vector<const float*> rows;
};

Angles angles_of(std::span<const int64_t> positions, const RopeFrequencies& f, int64_t period,
                 ThreadPool& threads) {
  int64_t most = 0;
  for (const int64_t position : positions) {
    if (position < 0) throw UsageError(str("rope: position ", position, " is negative"));
    most = std::max(most, period > 0 ? position % period : position);
  }
  Angles angles;
  angles.table = f.table(most + 1, period > 0);
  angles.rows.resize(positions.size());
  if (angles.table != nullptr) {
    for (size_t t = 0; t < positions.size(); ++t) {
      angles.rows[t] = angles.table->row(period > 0 ? positions[t] % period : positions[t]);
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

Angles angles_of(std::span<const int64_t> rows, std::shared_ptr<const RopeTable> table) {
  Angles angles;
  angles.rows.resize(rows.size());
  for (size_t t = 0; t < rows.size(); ++t) {
    if (rows[t] < 0 || rows[t] >= table->rows) {
      throw UsageError(str("rope: row ", rows[t], ", the table has ", table->rows));
    }
    angles.rows[t] = table->row(rows[t]);
  }
  angles.table = std::move(table);
  return angles;
}

Tensor rotate(const Tensor& x_THC, const Angles& angles, bool inverse) {
  const RopeKernel& kernel =
      simd::choose(x_THC.device()->isa(), portable::kRope, avx2::kRope, avx512::kRope);
  Tensor y_THC = empty_like(x_THC);
  const int64_t H = x_THC.dim(1);
  const int64_t C = x_THC.dim(2);
  const float* x = x_THC.data<float>();
  auto* y = y_THC.mutable_data<float>();
  x_THC.device()->threads().parallel_for(
      x_THC.dim(0), std::max<int64_t>(1, kGrain / std::max<int64_t>(1, H * C)),
      [&](int64_t begin, int64_t end) {
        kernel.rotate(x + begin * H * C, angles.rows.data() + begin, end - begin, H, C, inverse,
                      y + begin * H * C);
      });
  return y_THC;
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

}  // namespace

Tensor rope(const Tensor& x_THC, std::span<const int64_t> positions, const RopeFrequencies& f,
            int64_t period) {
  check(x_THC, positions.size(), f.head_dim());
  if (period < 0) throw UsageError(str("rope: period ", period, " is negative"));
  ThreadPool& threads = x_THC.device()->threads();
  const Tensor y_THC = rotate(x_THC, angles_of(positions, f, period, threads), false);
  if (!autograd::recording({x_THC})) return y_THC;
  return autograd::record("rope", {x_THC}, y_THC,
                          [kept = std::vector<int64_t>(positions.begin(), positions.end()), f,
                           period](const Tensor& dy_THC, autograd::GradientSink& sink) {
                            const Angles angles =
                                angles_of(kept, f, period, dy_THC.device()->threads());
                            sink.add(0, rotate(dy_THC, angles, true));
                          });
}

Tensor rope(const Tensor& x_THC, std::span<const int64_t> rows,
            std::shared_ptr<const RopeTable> table) {
  check(x_THC, rows.size(), table->head_dim());
  const Tensor y_THC = rotate(x_THC, angles_of(rows, table), false);
  if (!autograd::recording({x_THC})) return y_THC;
  return autograd::record(
      "rope", {x_THC}, y_THC,
      [kept = std::vector<int64_t>(rows.begin(), rows.end()), table = std::move(table)](
          const Tensor& dy_THC, autograd::GradientSink& sink) {
        sink.add(0, rotate(dy_THC, angles_of(kept, table), true));
      });
}

}  // namespace corral::ops
