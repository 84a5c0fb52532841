#include "engine/prompt.h"

#include <algorithm>

#include "base/error.h"

namespace corral::engine {
namespace {

// The identity of a placeholder: kImageMark, the number of its image, and the row of its vectors.
constexpr int kRowBits = 24;
constexpr uint64_t kRowMask = (uint64_t{1} << kRowBits) - 1;

uint64_t identity_of(const EncodedImage& image, int64_t row) {
  return kImageMark | image.id << kRowBits | static_cast<uint64_t>(row);
}

const EncodedImage& image_of(std::span<const EncodedImagePtr> images, uint64_t identity) {
  const auto same = [&](const EncodedImagePtr& image) {
    return image->id == (identity & ~kImageMark) >> kRowBits;
  };
  return **std::find_if(images.begin(), images.end(), same);
}

}  // namespace

kv::Batch batch_of(std::span<const PromptPiece> pieces) {
  kv::Batch batch;
  std::vector<std::span<const float>> sources;
  DevicePtr device;
  for (const PromptPiece& piece : pieces) {
    const int64_t first_row = batch.size();
    batch.append(piece.tokens, piece.first_position, piece.sequence);
    for (size_t i = 0; i < piece.identities.size(); ++i) {
      const uint64_t identity = piece.identities[i];
      if ((identity & kImageMark) == 0) continue;
      const Tensor& vectors_MW = image_of(piece.images, identity).vectors_MW;
      const auto W = static_cast<size_t>(vectors_MW.dim(1));
      sources.push_back(vectors_MW.values<float>().subspan((identity & kRowMask) * W, W));
      batch.vector_rows.push_back(first_row + static_cast<int64_t>(i));
      device = vectors_MW.device();
    }
  }
  if (sources.empty()) return batch;
  const auto W = static_cast<int64_t>(sources.front().size());
  batch.vectors = Tensor({static_cast<int64_t>(sources.size()), W}, DType::kF32, device);
  auto* to = batch.vectors.mutable_data<float>();
  for (const auto source : sources) to = std::copy(source.begin(), source.end(), to);
  return batch;
}

kv::Batch prompt_batch(const Prompt& prompt, std::span<const uint64_t> identities, int64_t begin,
                       int64_t end, int64_t sequence) {
  const auto first = static_cast<size_t>(begin);
  const auto length = static_cast<size_t>(end - begin);
  const PromptPiece piece{.tokens = std::span(prompt.tokens).subspan(first, length),
                          .identities = identities.subspan(first, length),
                          .images = prompt.images,
                          .first_position = begin,
                          .sequence = sequence};
  return batch_of({&piece, 1});
}

std::vector<uint64_t> Prompt::identities() const {
  std::vector<uint64_t> all;
  size_t image = 0;
  int64_t row = 0;
  for (const int32_t token : tokens) {
    if (images.empty() || token != placeholder) {
      all.push_back(static_cast<uint32_t>(token));
      continue;
    }
    if (image == images.size()) {
      throw UsageError(str("prompt: more placeholders than the vectors of ", image, " images"));
    }
    all.push_back(identity_of(*images[image], row));
    if (++row == images[image]->vectors_MW.dim(0)) {
      ++image;
      row = 0;
    }
  }
  if (image != images.size()) {
    throw UsageError(str("prompt: placeholders for ", image, " of ", images.size(), " images"));
  }
  return all;
}

}  // namespace corral::engine
