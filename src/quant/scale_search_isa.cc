#include "quant/scale_search_kernel.h"
#include "simd/vec.h"

namespace corral::quant::CORRAL_ISA {
namespace {

namespace v = simd::CORRAL_ISA;
using v::F32;

constexpr int kTableSize = 16;

struct Integers {
  explicit Integers(const CodeSet& codes) : lo(v::set1(codes.lo)), hi(v::set1(codes.hi)) {}
  // Adding and taking off 1.5 * 2^23 rounds to an integer, ties to even.
  F32 nearest(F32 t) const { return (v::min(v::max(t, lo), hi) + 12582912.0f) - 12582912.0f; }
  F32 lo;
  F32 hi;
};

struct Table {
  explicit Table(const CodeSet& codes) : first(v::set1(codes.values[0])), set(codes) {}
  F32 nearest(F32 t) const {
    F32 q = first;
    for (int i = 0; i + 1 < kTableSize; ++i) {
      q = t > set.middles[i] ? v::set1(set.values[i + 1]) : q;
    }
    return q;
  }
  F32 first;
  const CodeSet& set;
};

template <class Codes>
void score_lanes(const ScaleTask& task, const Codes& codes, int lane, TrialSums& sums) {
  const F32 scale = v::load(task.scale + lane);
  const F32 offset = v::load(task.offset + lane);
  const F32 inverse = scale != 0 ? 1.0f / scale : F32{};
  F32 wq{};
  F32 wqq{};
  F32 wxq{};
  F32 error{};
  for (int64_t i = 0; i < task.n; ++i) {
    const F32 q = codes.nearest((task.x[i] - offset) * inverse);
    const F32 weighted = task.w[i] * q;
    const F32 rest = task.x[i] - (scale * q + offset);
    wq += weighted;
    wqq += weighted * q;
    wxq += weighted * task.x[i];
    error += task.w[i] * rest * rest;
  }
  v::store(sums.wq + lane, wq);
  v::store(sums.wqq + lane, wqq);
  v::store(sums.wxq + lane, wxq);
  v::store(sums.error + lane, error);
}

void score(const ScaleTask& task, const CodeSet& codes, TrialSums& sums) {
  for (int lane = 0; lane < kTrials; lane += v::kLanes) {
    if (codes.values != nullptr) {
      score_lanes(task, Table(codes), lane, sums);
    } else {
      score_lanes(task, Integers(codes), lane, sums);
    }
  }
}

}  // namespace

const ScaleSearchKernel kScaleSearch = {score};

}  // namespace corral::quant::CORRAL_ISA
