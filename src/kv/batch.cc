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

Batch Batch::of_rows(std::span<const int64_t> rows) const {
  Batch some;
  auto segment = segments.begin();
  for (int64_t before = -1; const int64_t row : rows) {
    if (row <= before || row >= size()) {
      throw UsageError(str("batch: row ", row, " behind row ", before, " of ", size()));
    }
    while (segment != segments.end() && row >= segment->begin + segment->length) ++segment;
    if (segment == segments.end()) throw UsageError(str("batch: row ", row, " has no segment"));
    const int64_t position = positions[static_cast<size_t>(row)];
    if (row == before + 1 && row > segment->begin && !some.segments.empty()) {
      ++some.segments.back().length;
    } else {
      some.segments.push_back({some.size(), 1, position, segment->sequence});
    }
    some.tokens.push_back(tokens[static_cast<size_t>(row)]);
    some.positions.push_back(position);
    before = row;
  }
  return some;
}

}  // namespace corral::kv
