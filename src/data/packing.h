#pragma once

#include <cstdint>
#include <vector>

#include "data/mixture.h"
#include "kv/batch.h"

namespace corral::data {

/// The target of a row without loss.
inline constexpr int32_t kIgnored = -100;

/// Rows to run the model on, and for each the token that it should predict.
struct TrainingBatch {
  kv::Batch batch;
  std::vector<int32_t> targets;  // [T], kIgnored where the next token is not supervised
  int64_t supervised = 0;        // rows with a target
};

/// How documents become segments of a batch.
struct PackOptions {
  /// The most rows of a segment; longer documents are split.
  int64_t sequence_tokens = 512;
  /// Whether the rest of a split document counts its positions from 0 again. If not, it keeps its
  /// positions but cannot see what came before.
  bool restart_positions = true;
};

/// Where a stream of batches stands: enough to continue it.
struct DataCursor {
  int64_t epoch = 0;
  int64_t item = 0;    // index into the epoch's order
  int64_t offset = 0;  // rows of that document already delivered

  bool operator==(const DataCursor&) const = default;
};

/// Packs documents of a mixture one behind the other into batches of exactly as many rows as asked,
/// without padding or waste. A document of L tokens gives L - 1 rows: token i with target i + 1
/// (its last token predicts nothing). Each piece of a document is a segment of its own, so
/// positions and chunk borders count from the document's beginning and no row sees another
/// document. Where a document is split, the last row before the cut still has its target.
class PackedStream {
 public:
  /// Throws UsageError for sequence_tokens below 1 or a cursor that is not one of this mixture.
  PackedStream(const Mixture& mixture, const PackOptions& options, const DataCursor& cursor = {});

  TrainingBatch next(int64_t rows);
  const DataCursor& cursor() const { return cursor_; }

 private:
  const Mixture& mixture_;
  PackOptions options_;
  DataCursor cursor_;
};

/// The documents of one file in their order, packed in the same way into batches of at most
/// batch_rows rows, max_rows in all: for validation.
std::vector<TrainingBatch> pack_in_order(const TokenFile& tokens, const PackOptions& options,
                                         int64_t batch_rows, int64_t max_rows);

}  // namespace corral::data
