#include "data/packing.h"

#include <algorithm>

#include "base/error.h"

namespace corral::data {
namespace {

/// Appends rows [offset, offset + rows) of a document as one segment.
void append_piece(const TokenFile& tokens, int64_t document, int64_t offset, int64_t rows,
                  const PackOptions& options, TrainingBatch& out) {
  std::vector<int32_t> piece(static_cast<size_t>(rows) + 1);
  tokens.copy(document, offset, piece);
  out.batch.append({piece.data(), static_cast<size_t>(rows)},
                   options.restart_positions ? 0 : offset);
  for (int64_t i = 1; i <= rows; ++i) {
    const bool keep = tokens.supervised(document, offset + i);
    out.targets.push_back(keep ? piece[static_cast<size_t>(i)] : kIgnored);
    if (keep) ++out.supervised;
  }
}

void check_options(const PackOptions& options) {
  if (options.sequence_tokens < 1) {
    throw UsageError(
        str("packing: sequence_tokens is ", options.sequence_tokens, ", needs 1 or more"));
  }
}

}  // namespace

PackedStream::PackedStream(const Mixture& mixture, const PackOptions& options,
                           const DataCursor& cursor)
    : mixture_(mixture), options_(options), cursor_(cursor) {
  check_options(options);
  const bool good =
      cursor.epoch >= 0 && cursor.item >= 0 && cursor.item < mixture.items() && cursor.offset >= 0;
  const auto rows_there = [&] {
    const Mixture::Item item = mixture.at(cursor.epoch, cursor.item);
    return mixture.sources()[item.source].tokens->length(item.document) - 1;
  };
  if (!good || cursor.offset >= rows_there()) {
    throw UsageError(str("packing: there is no document at epoch ", cursor.epoch, ", item ",
                         cursor.item, ", row ", cursor.offset, " of the training data"));
  }
}

TrainingBatch PackedStream::next(int64_t rows) {
  TrainingBatch out;
  while (out.batch.size() < rows) {
    const Mixture::Item item = mixture_.at(cursor_.epoch, cursor_.item);
    const TokenFile& tokens = *mixture_.sources()[item.source].tokens;
    const int64_t document_rows = tokens.length(item.document) - 1;
    const int64_t take = std::min(
        {rows - out.batch.size(), options_.sequence_tokens, document_rows - cursor_.offset});
    append_piece(tokens, item.document, cursor_.offset, take, options_, out);
    cursor_.offset += take;
    if (cursor_.offset < document_rows) continue;
    cursor_.offset = 0;
    if (++cursor_.item == mixture_.items()) {
      cursor_.item = 0;
      ++cursor_.epoch;
    }
  }
  return out;
}

std::vector<TrainingBatch> pack_in_order(const TokenFile& tokens, const PackOptions& options,
                                         int64_t batch_rows, int64_t max_rows) {
  check_options(options);
  std::vector<TrainingBatch> batches;
  int64_t left = max_rows;
  for (int64_t document = 0; document < tokens.documents() && left > 0; ++document) {
    const int64_t document_rows = tokens.length(document) - 1;
    for (int64_t offset = 0; offset < document_rows && left > 0;) {
      if (batches.empty() || batches.back().batch.size() >= batch_rows) batches.emplace_back();
      const int64_t take = std::min({left, batch_rows - batches.back().batch.size(),
                                     options.sequence_tokens, document_rows - offset});
      append_piece(tokens, document, offset, take, options, batches.back());
      offset += take;
      left -= take;
    }
  }
  return batches;
}

}  // namespace corral::data
