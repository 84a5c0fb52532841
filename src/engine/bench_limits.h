#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kv/kv_types.h"
#include "model/text_model.h"
#include "tensor/device.h"

namespace corral::engine {

/// Weight bytes that one step of this many sequences must read, a token of each: everything but the
/// embedding table and the experts that nobody chose. Tokens are taken to choose experts evenly.
int64_t weight_bytes_per_step(const model::TextModel& model, int64_t sequences = 1);

/// Bytes of keys and values that a token at this position reads: what its layers let it see.
int64_t kv_bytes_per_token(const model::Config& config, int64_t position, kv::KvTypes types);

/// Operations of a prompt by what computes them, two a multiply-add.
struct PromptWork {
  double f32 = 0;
  double bf16 = 0;
  double int8 = 0;
  double int4 = 0;
};
/// Products of the active weights with each token, and of queries with the keys and values that
/// they see. Weights in blocks are multiplied as bytes; others as `precision` says.
PromptWork prompt_work(const model::TextModel& model, int64_t tokens, quant::Precision precision,
                       kv::KvTypes types);

/// Measures the bandwidth of reading memory, with all threads: of the model's own weights, since
/// where they lie decides too; of a buffer if they are less than four times what the last-level
/// cache holds.
class ReadBandwidth {
 public:
  /// The model outlives it.
  explicit ReadBandwidth(const model::TextModel& model);
  ReadBandwidth(const ReadBandwidth&) = delete;
  ReadBandwidth& operator=(const ReadBandwidth&) = delete;
  ~ReadBandwidth();

  /// In GB/s (1e9 bytes), now. Leaves nothing else in the caches.
  double measure();

 private:
  Device& device_;
  std::vector<const std::byte*> turns_;  // of what is read, pieces of the same size
  std::byte* own_ = nullptr;
  int64_t own_bytes_ = 0;
};

/// Seconds in which the device could do it with nothing but multiply-adds, at the peaks measured
/// now.
double seconds_at_peak(Device& device, const PromptWork& work);

}  // namespace corral::engine
