#include "ops/select_rows/select_rows.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "autograd/tape.h"

namespace corral::ops {
namespace {

constexpr int64_t kGrain = 1 << 13;  // elements

int64_t grain_rows(int64_t D) { return std::max<int64_t>(1, kGrain / std::max<int64_t>(1, D)); }

void check(const Tensor& a, const Tensor& b, std::span<const int64_t> rows) {
  const bool shapes = a.rank() == 2 && (!b.defined() || (b.rank() == 2 && b.dim(1) == a.dim(1)));
  if (!shapes) {
    throw ShapeError(
        str("select_rows: a is ", a.shape(), ", b is ", b.shape(), ", needs [A, D] and [B, D]"));
  }
  if (a.dtype() != DType::kF32 || (b.defined() && b.dtype() != DType::kF32)) {
    throw NotSupported(str("select_rows: a is ", a.dtype(), ", b is ", b.dtype(), ", needs f32"));
  }
  const int64_t sources = a.dim(0) + (b.defined() ? b.dim(0) : 0);
  for (size_t i = 0; i < rows.size(); ++i) {
    if (rows[i] < 0 || rows[i] >= sources) {
      throw UsageError(
          str("select_rows: index ", i, " is ", rows[i], ", there are ", sources, " rows"));
    }
  }
}

/// The places in `rows` that hold a source row, grouped by source row and in order within each.
struct Places {
  std::vector<int64_t> begin;  // [sources + 1] where each group begins in `place`
  std::vector<int64_t> place;  // [R]
};

Places places_of(const std::vector<int64_t>& rows, int64_t sources) {
  Places places;
  places.begin.assign(static_cast<size_t>(sources) + 1, 0);
  for (const int64_t row : rows) ++places.begin[static_cast<size_t>(row) + 1];
  for (size_t s = 1; s < places.begin.size(); ++s) places.begin[s] += places.begin[s - 1];
  places.place.resize(rows.size());
  std::vector<int64_t> next = places.begin;
  for (size_t i = 0; i < rows.size(); ++i) {
    places.place[static_cast<size_t>(next[static_cast<size_t>(rows[i])]++)] =
        static_cast<int64_t>(i);
  }
  return places;
}

/// d[s, :] = sum of dy[i, :] over the places i of source row first + s.
Tensor source_gradient(const Tensor& dy_RD, const Places& places, int64_t first, int64_t count) {
  const int64_t D = dy_RD.dim(1);
  Tensor d_SD = Tensor::zeros({count, D}, DType::kF32, dy_RD.device());
  const auto* dy = dy_RD.data<float>();
  auto* d = d_SD.mutable_data<float>();
  dy_RD.device()->threads().parallel_for(count, grain_rows(D), [&](int64_t begin, int64_t end) {
    for (int64_t s = begin; s < end; ++s) {
      const auto group = static_cast<size_t>(first + s);
      for (int64_t p = places.begin[group]; p < places.begin[group + 1]; ++p) {
        const float* from = dy + places.place[static_cast<size_t>(p)] * D;
        for (int64_t c = 0; c < D; ++c) d[s * D + c] += from[c];
      }
    }
  });
  return d_SD;
}

}  // namespace

Tensor select_rows(const Tensor& a_AD, const Tensor& b_BD, std::span<const int64_t> rows) {
  check(a_AD, b_BD, rows);
  const int64_t A = a_AD.dim(0);
  const int64_t B = b_BD.defined() ? b_BD.dim(0) : 0;
  const int64_t D = a_AD.dim(1);
  const auto R = static_cast<int64_t>(rows.size());
  Tensor y_RD({R, D}, DType::kF32, a_AD.device());
  const auto* a = a_AD.data<float>();
  const float* b = b_BD.defined() ? b_BD.data<float>() : nullptr;
  auto* y = y_RD.mutable_data<float>();
  a_AD.device()->threads().parallel_for(R, grain_rows(D), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t row = rows[static_cast<size_t>(i)];
      std::copy_n(row < A ? a + row * D : b + (row - A) * D, D, y + i * D);
    }
  });

  if (!autograd::recording({a_AD, b_BD})) return y_RD;
  auto backward = [saved = std::vector<int64_t>(rows.begin(), rows.end()), A, B](
                      const Tensor& dy_RD, autograd::GradientSink& sink) {
    const Places places = places_of(saved, A + B);
    if (sink.needs(0)) sink.add(0, source_gradient(dy_RD, places, 0, A));
    if (sink.needs(1)) sink.add(1, source_gradient(dy_RD, places, A, B));
  };
  return autograd::record("select_rows", {a_AD, b_BD}, y_RD, std::move(backward));
}

}  // namespace corral::ops
