#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <vector>

#include "base/thread_pool.h"
#include "data/token_file.h"
#include "text/tokenizer.h"

namespace corral::data {

/// Which tokens a model is asked to predict.
enum class Supervise : uint8_t {
  kEverything,  // pretraining
  kAssistant,   // of conversations only what the assistant says; plain text has no other speaker
};

/// What is tokenised.
struct CorpusSpec {
  std::vector<std::filesystem::path> files;
  Supervise supervise = Supervise::kEverything;
};

/// Tokenises the documents of `files` once: text as begin_of_text, text, end_of_text (those that
/// the vocabulary has), conversations in Llama 4's chat format. The result is kept in cache_folder
/// (made if missing) under a name that depends on the vocabulary, the options, and the name, size
/// and modification time of every file, and is reused when it is there.
/// Documents are encoded on all threads and written in their order. progress gets the number of
/// tokens so far. Throws UsageError for a conversation in a vocabulary without chat tokens, and
/// what DocumentReader and TokenFile throw (a broken file in the cache is made again).
std::shared_ptr<const TokenFile> tokenize_corpus(
    const CorpusSpec& spec, const std::shared_ptr<const text::Tokenizer>& tokenizer,
    const std::filesystem::path& cache_folder, ThreadPool& threads,
    const std::function<void(int64_t)>& progress = {});

/// A hash of all that decides how a tokenizer encodes.
uint64_t fingerprint(const text::Tokenizer& tokenizer);

}  // namespace corral::data
