// Sequences that are saved and restored: what of the scheduler's state they touch.
#include <utility>

#include "autograd/tape.h"
#include "base/error.h"
#include "base/fingerprint.h"
#include "engine/scheduler.h"

namespace corral::engine {

Scheduler::Held Scheduler::hold_known(std::span<const uint64_t> identities) {
  if (!prefixes_) return {.sequence = cache_.create(), .length = 0, .pages = {}};
  const auto match = prefixes_->restore(identities);
  return {
      .sequence = match.sequence, .length = match.length, .pages = cache_.pages(match.sequence)};
}

Scheduler::Held Scheduler::hold_blank(int64_t length) {
  const int64_t need = cache_.blank_bytes(length);
  while (prefixes_ && cache_.bytes() > cache_.max_bytes() - need && prefixes_->forget_one()) {
  }
  const int64_t sequence = cache_.create_blank(length);
  return {.sequence = sequence, .length = length, .pages = cache_.pages(sequence)};
}

void Scheduler::release(const Held& held, std::span<const uint64_t> identities) {
  if (prefixes_ && !identities.empty()) prefixes_->remember(held.sequence, identities);
  cache_.release(held.sequence);
}

// Some tokens through all layers: the vectors that come out depend on every layer's weights, on the
// precision and on the kernels, bit for bit; only not on experts that none of them is sent to.
uint64_t Scheduler::fingerprint() {
  if (fingerprint_) return *fingerprint_;
  constexpr int64_t kProbeTokens = 64;
  const model::Config& config = model_.config();
  std::vector<int32_t> tokens;
  for (int64_t i = 0; i < kProbeTokens; ++i) {
    tokens.push_back(static_cast<int32_t>(i * 7919 % config.vocab_size));
  }
  kv::Batch batch;
  batch.append(tokens, 0);
  const autograd::NoGrad no_grad;
  const Tensor hidden_TD = model_.hidden(batch, {.precision = options_.precision});
  Fingerprint print;
  print.add(std::as_bytes(hidden_TD.values<float>()));
  const kv::KvLayout& layout = cache_.layout();
  for (const int64_t chunk : layout.chunk_sizes) print.add(static_cast<uint64_t>(chunk));
  for (const int64_t number : {layout.kv_heads, layout.head_dim, layout.page_tokens,
                               int64_t{static_cast<uint8_t>(layout.types.k)},
                               int64_t{static_cast<uint8_t>(layout.types.v)}}) {
    print.add(static_cast<uint64_t>(number));
  }
  fingerprint_ = print.value();
  return *fingerprint_;
}

}  // namespace corral::engine
