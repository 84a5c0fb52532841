#pragma once

#include <memory>
#include <string>
#include <vector>

#include "text/bpe_trainer.h"
#include "text/tokenizer.h"

namespace corral::test {

inline const std::vector<std::string>& small_corpus() {
  static const std::vector<std::string> documents = {
      "Once upon a time there was a little hen who lived on a farm near the sea. The hen said to "
      "the horse: \"We are going to the sea today, and we'll swim.\" The horse wasn't so sure.",
      "The little horse went to the farm. There were 12 hens, 134 cows and 1000 sheep. \"Who are "
      "you?\" said the hen. \"I'm the horse!\" said the horse. THE HORSE was very, very LOUD.",
      "def swim(sea):\n    return sea + 1\n\n\n    # the sea, the hen and the horse\n",
      "Ein kleines Pferd möchte über den Fluß. Дом стоит у моря, море шумит. "
      "馬は海へ行きました。🐎🌊",
      "aaaaaaaaaaaaaaaaaaaaaaaa bananas bananas abababababababab ......... ======== -------- "
      "\t\t\t"};
  return documents;
}

/// Gives the documents of a list one by one.
inline auto documents_of(std::vector<std::string> documents) {
  return
      [documents = std::move(documents), next = size_t{0}]() mutable -> std::optional<std::string> {
        if (next == documents.size()) return std::nullopt;
        return documents[next++];
      };
}

/// A vocabulary of 360 tokens with the compact special tokens, for tests that run everywhere.
inline std::shared_ptr<const text::Tokenizer> small_tokenizer() {
  static const auto tokenizer = [] {
    text::TrainTokenizerOptions options;
    options.vocab_size = 360;
    return text::Tokenizer::create(text::train_tokenizer(documents_of(small_corpus()), options));
  }();
  return tokenizer;
}

}  // namespace corral::test
