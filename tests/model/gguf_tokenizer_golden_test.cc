// Meta's reference tokenizer, id by id, from the metadata of a GGUF file.
#include <gtest/gtest.h>

#include "model/gguf_checkpoint.h"
#include "model/initialise.h"
#include "model/tiny_model.h"
#include "support/temp_dir.h"
#include "text/tokenizer_goldens.h"

namespace corral::test {
namespace {

TEST(GgufTokenizerGolden, GivesTheSameAsTheReferenceFromMetadata) {
  const auto tokenizer = llama4_tokenizer();
  if (!tokenizer) GTEST_SKIP() << kNoLlama4Tokenizer;
  const auto device = Device::cpu();
  model::Config config = tiny_config();
  config.vocab_size = tokenizer->vocab_size();
  config.hidden_size = 32;
  config.tie_word_embeddings = true;
  config.normalise();
  const auto model = tiny_model(config, device);
  const TempDir dir;
  const auto path = dir.path() / "m.gguf";
  save_gguf(path, config, model.weights(), tokenizer.get(), {.dtype = DType::kBF16});
  expect_llama4_goldens(*model::gguf_tokenizer(io::GgufFile(path)));
}

}  // namespace
}  // namespace corral::test
