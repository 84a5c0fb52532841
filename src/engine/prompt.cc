#include "engine/prompt.h"

#include <algorithm>

#include "base/error.h"

namespace corral::engine {
namespace {

// The identity of a placeholder: this bit, the number of its image, and the row of its vectors.
constexpr uint64_t kImageMark = uint64_t{1} << 63;
constexpr int kRowBits = 24;
constexpr uint64_t kRowMask = (uint64_t{1} << kRowBits) - 1;

uint64_t identity_of(const EncodedImage& image, int64_t row) {
  return kImageMark | image.id << kRowBits | static_cast<uint64_t>(row);
}

const EncodedImage& image_of(const Prompt& prompt, uint64_t identity) {
  const auto same = [&](const EncodedImagePtr& image) {
    return image->id == (identity & ~kImageMark) >> kRowBits;
  };
  return **std::find_if(prompt.images.begin(), prompt.images.end(), same);
}

// The vectors of the prompt's rows [begin, end) whose token is a placeholder.
void add_vectors(const Prompt& prompt, std::span<const uint64_t> identities, int64_t begin,
                 int64_t end, kv::Batch& batch) {
  std::vector<const float*> sources;
  int64_t width = 0;
  for (int64_t i = begin; i < end; ++i) {
    const uint64_t identity = identities[static_cast<size_t>(i)];
    if ((identity & kImageMark) == 0) continue;
    const EncodedImage& image = image_of(prompt, identity);
    width = image.vectors_MW.dim(1);
    const auto row = static_cast<int64_t>(identity & kRowMask);
    sources.push_back(image.vectors_MW.data<float>() + row * width);
    batch.vector_rows.push_back(i - begin);
  }
  if (sources.empty()) return;
  batch.vectors = Tensor({static_cast<int64_t>(sources.size()), width}, DType::kF32,
                         prompt.images.front()->vectors_MW.device());
  auto* to = batch.vectors.mutable_data<float>();
  for (const float* from : sources) to = std::copy_n(from, width, to);
}

}  // namespace

kv::Batch prompt_batch(const Prompt& prompt, std::span<const uint64_t> identities, int64_t begin,
                       int64_t end, int64_t sequence) {
  kv::Batch batch;
  batch.append(std::span(prompt.tokens)
                   .subspan(static_cast<size_t>(begin), static_cast<size_t>(end - begin)),
               begin, sequence);
  add_vectors(prompt, identities, begin, end, batch);
  return batch;
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
