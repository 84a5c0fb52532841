#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/image_encoder.h"
#include "kv/batch.h"

namespace corral::engine {

/// What a model is asked to continue: tokens, and the images that stand at the placeholders
/// (<|patch|>) among them, in order.
struct Prompt {
  std::vector<int32_t> tokens;
  std::vector<EncodedImagePtr> images = {};
  int32_t placeholder = -1;  // without images every token is text

  /// For each token what decides its place in the model: its id, or, for a placeholder, which
  /// vector of which image. Equal prefixes of these are equal prefixes of the cache. Throws
  /// UsageError when there are not as many placeholders as vectors.
  std::vector<uint64_t> identities() const;
};

/// What the identities of placeholders have and those of text have not.
inline constexpr uint64_t kImageMark = uint64_t{1} << 63;

/// Consecutive tokens of one sequence, with their identities and the images that these name. Tokens
/// behind the last identity are text.
struct PromptPiece {
  std::span<const int32_t> tokens;
  std::span<const uint64_t> identities;
  std::span<const EncodedImagePtr> images;
  int64_t first_position = 0;
  int64_t sequence = -1;
};

/// A batch with a segment for each piece, and the vectors of their images.
kv::Batch batch_of(std::span<const PromptPiece> pieces);

/// Tokens [begin, end) of a prompt as a batch of one segment. identities: of the whole prompt.
kv::Batch prompt_batch(const Prompt& prompt, std::span<const uint64_t> identities, int64_t begin,
                       int64_t end, int64_t sequence);

}  // namespace corral::engine
