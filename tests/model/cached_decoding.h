#pragma once

#include <algorithm>
#include <cstring>
#include <span>
#include <vector>

#include "autograd/tape.h"
#include "kv/kv_cache.h"
#include "model/text_model.h"

namespace corral::test {

/// Logits [T, V] of `tokens` fed through a KV cache, `piece` at a time.
inline Tensor logits_in_pieces(const model::TextModel& model, const std::vector<int32_t>& tokens,
                               int64_t piece) {
  const autograd::NoGrad no_grad;
  kv::KvCache cache(model.kv_layout(), model.device());
  const int64_t sequence = cache.create();
  model::ForwardOptions options;
  options.cache = &cache;
  const auto T = static_cast<int64_t>(tokens.size());
  Tensor all({T, model.config().vocab_size}, DType::kF32, model.device());
  for (int64_t begin = 0; begin < T; begin += piece) {
    const int64_t length = std::min(piece, T - begin);
    kv::Batch batch;
    batch.append(std::span(tokens).subspan(static_cast<size_t>(begin), static_cast<size_t>(length)),
                 begin, sequence);
    const Tensor logits = model.logits(model.hidden(batch, options));
    std::memcpy(all.mutable_data<float>() + begin * all.dim(1), logits.data<float>(),
                static_cast<size_t>(logits.size_bytes()));
  }
  return all;
}

/// The likeliest continuation, one token at a time through a KV cache.
inline std::vector<int32_t> greedy(const model::TextModel& model,
                                   const std::vector<int32_t>& prompt, int64_t count) {
  const autograd::NoGrad no_grad;
  kv::KvCache cache(model.kv_layout(), model.device());
  const int64_t sequence = cache.create();
  model::ForwardOptions options;
  options.cache = &cache;
  std::vector<int32_t> output;
  std::vector<int32_t> next = prompt;
  int64_t position = 0;
  while (static_cast<int64_t>(output.size()) < count) {
    kv::Batch batch;
    batch.append(next, position, sequence);
    position += batch.size();
    const Tensor logits = model.logits(model.hidden(batch, options));
    const auto last = logits.values<float>().last(static_cast<size_t>(model.config().vocab_size));
    output.push_back(
        static_cast<int32_t>(std::max_element(last.begin(), last.end()) - last.begin()));
    next = {output.back()};
  }
  return output;
}

}  // namespace corral::test
