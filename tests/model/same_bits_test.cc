// A token's logits do not depend on what else is computed with it, on how its prompt was cut, on
// the threads, or on where the weights lie: whole models, in the types that people run.

#include <gtest/gtest.h>

#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "autograd/tape.h"
#include "model/cached_decoding.h"
#include "model/gguf_checkpoint.h"
#include "model/loaded_model.h"
#include "model/resident.h"
#include "model/tiny_model.h"
#include "support/temp_dir.h"
#include "support/tensors.h"

namespace corral::model {
namespace {

constexpr int64_t kTokens = 40;

class SameBits : public testing::TestWithParam<DType> {
 protected:
  void SetUp() override {
    const Config config = test::block_config();
    const TextModel made = test::tiny_model(config, test::test_device());
    save_gguf(path, config, made.weights(), nullptr, {.dtype = GetParam()});
  }
  LoadedModel load(int threads) const {
    return load_model(path, test::test_device(simd::detect_isa(), threads));
  }
  /// Of the whole prompt at once, on one thread.
  Tensor expected() const { return test::logits_in_pieces(load(1).model, prompt, kTokens); }

  test::TempDir dir;
  std::filesystem::path path = dir.path() / "m.gguf";
  std::vector<int32_t> prompt = test::some_tokens(kTokens, test::block_config().vocab_size);
};

TEST_P(SameBits, HoweverAPromptIsCutOnAnyNumberOfThreads) {
  const Tensor whole = expected();
  for (const int threads : {1, 2, 3}) {
    const LoadedModel loaded = load(threads);
    for (const int64_t piece : {1, 2, 7, 13, 40}) {
      EXPECT_TRUE(test::same_bits(test::logits_in_pieces(loaded.model, prompt, piece), whole))
          << threads << " threads, pieces of " << piece;
    }
  }
}

TEST_P(SameBits, BesideOtherSequences) {
  const autograd::NoGrad no_grad;
  const Tensor whole = expected();
  const LoadedModel loaded = load(2);
  const TextModel& model = loaded.model;
  kv::KvCache cache(model.kv_layout(), model.device());
  ForwardOptions options;
  options.cache = &cache;
  // The others are of other lengths, before and behind it, and change at each step.
  const int64_t before = cache.create();
  const int64_t own = cache.create();
  const int64_t behind = cache.create();
  for (int64_t begin = 0; begin < kTokens; begin += 8) {
    kv::Batch batch;
    const auto other = test::some_tokens(3 + begin / 8, model.config().vocab_size);
    batch.append(other, cache.length(before), before);
    const int64_t row = batch.size();
    batch.append(std::span(prompt).subspan(static_cast<size_t>(begin), 8), begin, own);
    batch.append(other, cache.length(behind), behind);
    const Tensor logits = model.logits(model.hidden(batch, options));
    for (int64_t i = 0; i < 8; ++i) {
      EXPECT_TRUE(
          test::same_bits(logits.rows(row + i, row + i + 1), whole.rows(begin + i, begin + i + 1)))
          << "position " << begin + i;
    }
  }
}

TEST_P(SameBits, MappedAndInMemoryOfTheProcess) {
  const Tensor whole = expected();
  LoadedModel loaded = load(2);
  make_resident(loaded);
  for (const int64_t piece : {1, 5, 40}) {
    EXPECT_TRUE(test::same_bits(test::logits_in_pieces(loaded.model, prompt, piece), whole))
        << "pieces of " << piece;
  }
}

INSTANTIATE_TEST_SUITE_P(Types, SameBits,
                         testing::Values(DType::kF32, DType::kBF16, DType::kQ8_0, DType::kQ4_0,
                                         DType::kQ3_K, DType::kQ4_K, DType::kQ6_K, DType::kIQ4_XS),
                         [](const auto& type) { return std::string(dtype_name(type.param)); });

}  // namespace
}  // namespace corral::model
