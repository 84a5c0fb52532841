#include "kv/batch.h"

#include "base/error.h"

namespace corral::kv {

void Batch::append(std::span<const int32_t> segment_tokens, int64_t first_position,
                   int64_t sequence) {
  if (first_position < 0) throw UsageError(str("position ", first_position, " is negative"));
  const auto length = static_cast<int64_t>(segment_tokens.size());
  if (length == 0) return;
  segments.push_back({size(), length, first_position, sequence});
  tokens.insert(tokens.end(), segment_tokens.begin(), segment_tokens.end());
  for (int64_t i = 0; i < length; ++i) positions.push_back(first_position + i);
}

}  // namespace corral::kv
