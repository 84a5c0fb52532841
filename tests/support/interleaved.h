#pragma once

#include "quant/interleaved.h"
#include "support/tensors.h"

namespace corral::test {

/// The weight with its rows interleaved.
inline quant::LinearWeight interleaved(const quant::LinearWeight& w,
                                       const quant::Interleaving& how) {
  quant::LinearWeight to = w;
  to.data = Tensor(w.data.shape(), w.data.dtype(), w.data.device());
  to.interleaving = how;
  const int64_t rows_bytes = how.rows * bytes_of(w.data.dtype(), w.in_features);
  for (int64_t at = 0; at < w.data.size_bytes(); at += rows_bytes) {
    quant::interleave(w.data.dtype(), how, w.data.data<std::byte>() + at, w.in_features,
                      to.data.mutable_data<std::byte>() + at);
  }
  return to;
}

}  // namespace corral::test
