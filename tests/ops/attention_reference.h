#pragma once

// The attention formula in double, row by row, and its gradients.

#include <cmath>
#include <utility>
#include <vector>

#include "kv/batch.h"
#include "support/tensors.h"

namespace corral::test {

struct AttentionShape {
  std::vector<std::pair<int64_t, int64_t>> segments;  // first position, length
  int64_t heads = 1;
  int64_t kv_heads = 1;
  int64_t head_size = 16;
  int64_t chunk_size = 0;
  bool causal = true;

  int64_t rows() const {
    int64_t rows = 0;
    for (const auto& segment : segments) rows += segment.second;
    return rows;
  }
  float scale() const { return 1.0f / std::sqrt(static_cast<float>(head_size)); }
  kv::AttentionSpan span() const { return {.chunk_size = chunk_size, .causal = causal}; }
  kv::Batch batch() const {
    kv::Batch batch;
    for (const auto& segment : segments) {
      batch.append(std::vector<int32_t>(static_cast<size_t>(segment.second)), segment.first);
    }
    return batch;
  }
  Tensor q(uint64_t seed, const DevicePtr& device = test_device()) const {
    return randn({rows(), heads, head_size}, seed, device);
  }
  Tensor k(uint64_t seed, const DevicePtr& device = test_device()) const {
    return randn({rows(), kv_heads, head_size}, seed, device);
  }
};

struct AttentionResult {
  std::vector<double> out;
  std::vector<double> dq;
  std::vector<double> dk;
  std::vector<double> dv;
};

/// With dout empty only the output.
inline AttentionResult attention_reference(const AttentionShape& shape,
                                           const std::vector<double>& q,
                                           const std::vector<double>& k,
                                           const std::vector<double>& v,
                                           const std::vector<double>& dout = {}) {
  const int64_t H = shape.heads;
  const int64_t K = shape.kv_heads;
  const int64_t C = shape.head_size;
  const auto scale = static_cast<double>(shape.scale());
  AttentionResult r;
  r.out.resize(q.size());
  if (!dout.empty()) {
    r.dq.resize(q.size());
    r.dk.resize(k.size());
    r.dv.resize(v.size());
  }
  const auto dot = [C](const std::vector<double>& a, int64_t i, const std::vector<double>& b,
                       int64_t j) {
    double sum = 0;
    for (int64_t c = 0; c < C; ++c) {
      sum += a[static_cast<size_t>(i * C + c)] * b[static_cast<size_t>(j * C + c)];
    }
    return sum;
  };
  const auto add = [C](std::vector<double>& to, int64_t i, double w, const std::vector<double>& x,
                       int64_t j) {
    for (int64_t c = 0; c < C; ++c) {
      to[static_cast<size_t>(i * C + c)] += w * x[static_cast<size_t>(j * C + c)];
    }
  };
  int64_t begin = 0;
  for (const auto& segment : shape.segments) {
    for (int64_t t = 0; t < segment.second; ++t) {
      const int64_t position = segment.first + t;
      const int64_t seen = std::max(
          shape.chunk_size > 0 ? position / shape.chunk_size * shape.chunk_size : int64_t{0},
          segment.first);
      const int64_t last = shape.causal ? position : segment.first + segment.second - 1;
      for (int64_t h = 0; h < H; ++h) {
        const int64_t row = (begin + t) * H + h;
        const auto key = [&](int64_t p) { return (begin + p - segment.first) * K + h / (H / K); };
        std::vector<double> p;
        double most = -INFINITY;
        for (int64_t s = seen; s <= last; ++s) {
          p.push_back(scale * dot(q, row, k, key(s)));
          most = std::max(most, p.back());
        }
        double sum = 0;
        for (double& x : p) sum += x = std::exp(x - most);
        for (double& x : p) x /= sum;
        for (int64_t s = seen; s <= last; ++s) {
          add(r.out, row, p[static_cast<size_t>(s - seen)], v, key(s));
        }
        if (dout.empty()) continue;
        const double delta = dot(dout, row, r.out, row);
        for (int64_t s = seen; s <= last; ++s) {
          const double weight = p[static_cast<size_t>(s - seen)];
          const double ds = scale * weight * (dot(dout, row, v, key(s)) - delta);
          add(r.dv, key(s), weight, dout, row);
          add(r.dq, row, ds, k, key(s));
          add(r.dk, key(s), ds, q, row);
        }
      }
    }
    begin += segment.second;
  }
  return r;
}

}  // namespace corral::test
