#include "text/bpe_trainer.h"

#include <algorithm>
#include <queue>
#include <set>
#include <unordered_map>

#include "base/error.h"
#include "text/piece_counter.h"
#include "text/special_tokens.h"
#include "text/splitter.h"

namespace corral::text {
namespace {

constexpr int64_t kReportBytes = int64_t{1} << 20;
constexpr int64_t kReportTokens = 64;

/// The merging half of the training: words (distinct pieces with counts) as sequences of tokens.
class MergeLearner {
 public:
  MergeLearner(const std::vector<PieceCounter::Piece>& pieces, const TrainTokenizerOptions& options)
      : max_token_bytes_(static_cast<size_t>(options.max_token_bytes)),
        min_pair_count_(std::max<int64_t>(options.min_pair_count, 1)) {
    for (int byte = 0; byte < 256; ++byte) {
      const char c = static_cast<char>(byte);
      vocabulary_.add({&c, 1});
    }
    words_.reserve(pieces.size());
    for (const PieceCounter::Piece& piece : pieces) add_word(piece);
    for (uint32_t w = 0; w < words_.size(); ++w) count_pairs(w, 0, words_[w].symbols, +1);
    push_changed();
  }

  const Vocabulary& vocabulary() const { return vocabulary_; }

  /// Adds the token of the most frequent pair; false when no pair is frequent enough.
  bool learn_one() {
    while (!heap_.empty()) {
      const Candidate top = heap_.top();
      heap_.pop();
      const int64_t count = pairs_.at(key(top.left, top.right)).count;
      if (count != top.count) {  // it fell since it was pushed
        if (count >= min_pair_count_) heap_.push({count, top.left, top.right, &vocabulary_});
        continue;
      }
      std::string bytes(vocabulary_.bytes(top.left));
      bytes += vocabulary_.bytes(top.right);
      if (!vocabulary_.add(bytes)) continue;
      merge_everywhere(bytes);
      push_changed();
      return true;
    }
    return false;
  }

 private:
  struct Word {
    std::string_view bytes;
    int64_t count;
    size_t begin;      // into symbols_
    uint32_t symbols;  // how many are in use
  };
  struct Pair {
    int64_t count = 0;
    std::vector<uint32_t> words;  // where it is or was
    bool grew = false;
  };
  struct Candidate {
    int64_t count;
    TokenId left;
    TokenId right;
    const Vocabulary* vocabulary;
    /// The heap's top is the largest: most frequent, then smallest bytes.
    bool operator<(const Candidate& other) const {
      if (count != other.count) return count < other.count;
      const int order = vocabulary->bytes(left).compare(vocabulary->bytes(other.left));
      if (order != 0) return order > 0;
      return vocabulary->bytes(right).compare(vocabulary->bytes(other.right)) > 0;
    }
  };

  static uint64_t key(TokenId left, TokenId right) {
    return uint64_t{static_cast<uint32_t>(left)} << 32 | static_cast<uint32_t>(right);
  }

  void add_word(const PieceCounter::Piece& piece) {
    if (piece.bytes.size() < 2) return;
    words_.push_back(
        {piece.bytes, piece.count, symbols_.size(), static_cast<uint32_t>(piece.bytes.size())});
    for (const char c : piece.bytes) symbols_.push_back(static_cast<unsigned char>(c));
  }

  /// Adds sign * count for the pairs that start at symbols [begin, end) of the word.
  void count_pairs(uint32_t w, uint32_t begin, uint32_t end, int sign) {
    const Word& word = words_[w];
    const TokenId* symbols = symbols_.data() + word.begin;
    for (uint32_t i = begin; i < end && i + 1 < word.symbols; ++i) {
      const uint64_t k = key(symbols[i], symbols[i + 1]);
      Pair& pair = pairs_[k];
      pair.count += sign * word.count;
      if (sign < 0) continue;
      if (pair.words.empty() || pair.words.back() != w) pair.words.push_back(w);
      if (!pair.grew) {
        pair.grew = true;
        grown_.push_back(k);
      }
    }
  }

  void push_changed() {
    for (const uint64_t k : grown_) {
      Pair& pair = pairs_.at(k);
      pair.grew = false;
      const auto left = static_cast<TokenId>(k >> 32);
      const auto right = static_cast<TokenId>(k & 0xFFFFFFFFu);
      const size_t size_bytes = vocabulary_.bytes(left).size() + vocabulary_.bytes(right).size();
      if (pair.count < min_pair_count_ || size_bytes > max_token_bytes_) continue;
      heap_.push({pair.count, left, right, &vocabulary_});
    }
    grown_.clear();
  }

  /// Re-encodes the words in which any two neighbours make up the token just added.
  void merge_everywhere(const std::string& bytes) {
    std::vector<uint32_t> affected;
    for (size_t cut = 1; cut < bytes.size(); ++cut) {
      const TokenId left = vocabulary_.find({bytes.data(), cut});
      const TokenId right = vocabulary_.find({bytes.data() + cut, bytes.size() - cut});
      if (left < 0 || right < 0) continue;
      const auto found = pairs_.find(key(left, right));
      if (found == pairs_.end()) continue;
      affected.insert(affected.end(), found->second.words.begin(), found->second.words.end());
      found->second.words = {};  // nowhere any more
    }
    std::sort(affected.begin(), affected.end());
    affected.erase(std::unique(affected.begin(), affected.end()), affected.end());
    for (const uint32_t w : affected) encode_again(w);
  }

  /// Goes on merging a word by ranks, as the finished tokenizer would: also an older token can come
  /// together now, out of parts that did not exist before.
  void encode_again(uint32_t w) {
    Word& word = words_[w];
    TokenId* symbols = symbols_.data() + word.begin;
    std::vector<TokenId>& merged = scratch_;
    merged.assign(symbols, symbols + word.symbols);
    while (merge_best(word.bytes, merged)) {
    }
    if (merged.size() == word.symbols) return;
    // Only the pairs between the common head and the common tail change.
    const auto old_size = static_cast<uint32_t>(word.symbols);
    const auto new_size = static_cast<uint32_t>(merged.size());
    uint32_t head = 0;
    while (head < new_size && merged[head] == symbols[head]) ++head;
    uint32_t tail = 0;
    while (tail < new_size - head && merged[new_size - 1 - tail] == symbols[old_size - 1 - tail]) {
      ++tail;
    }
    const uint32_t begin = head > 0 ? head - 1 : 0;
    count_pairs(w, begin, old_size - tail, -1);
    std::copy(merged.begin(), merged.end(), symbols);
    word.symbols = new_size;
    count_pairs(w, begin, new_size - tail, +1);
  }

  bool merge_best(std::string_view bytes, std::vector<TokenId>& symbols) const {
    TokenId best = vocabulary_.size();
    size_t best_at = 0;
    size_t offset = 0;
    for (size_t i = 0; i + 1 < symbols.size(); ++i) {
      const size_t left = vocabulary_.bytes(symbols[i]).size();
      const size_t right = vocabulary_.bytes(symbols[i + 1]).size();
      const TokenId id = vocabulary_.find(bytes.substr(offset, left + right));
      if (id >= 0 && id < best) {
        best = id;
        best_at = i;
      }
      offset += left;
    }
    if (best == vocabulary_.size()) return false;
    symbols[best_at] = best;
    symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(best_at) + 1);
    return true;
  }

  size_t max_token_bytes_;
  int64_t min_pair_count_;
  Vocabulary vocabulary_;
  std::vector<Word> words_;
  std::vector<TokenId> symbols_;
  std::unordered_map<uint64_t, Pair> pairs_;
  std::priority_queue<Candidate> heap_;
  std::vector<uint64_t> grown_;
  std::vector<TokenId> scratch_;
};

void check(const TrainTokenizerOptions& options) {
  const auto specials = static_cast<int64_t>(options.special_tokens.size());
  if (options.vocab_size < 256 + specials || options.vocab_size > INT32_MAX) {
    throw UsageError(str("tokenizer training: a vocabulary of ", options.vocab_size,
                         " tokens, needs at least ", 256 + specials, " (256 bytes and ", specials,
                         " special tokens)"));
  }
  if (options.max_token_bytes < 1) {
    throw UsageError(str("tokenizer training: tokens of at most ", options.max_token_bytes,
                         " bytes, needs at least 1"));
  }
  const std::set<std::string> distinct(options.special_tokens.begin(),
                                       options.special_tokens.end());
  if (distinct.size() != options.special_tokens.size() || distinct.count("") > 0) {
    throw UsageError("tokenizer training: special tokens must be distinct and not empty");
  }
}

}  // namespace

TrainTokenizerOptions::TrainTokenizerOptions()
    : special_tokens(compact_special_tokens()), pattern(kLlama4Pattern) {}

TokenizerSpec train_tokenizer(const std::function<std::optional<std::string>()>& next,
                              const TrainTokenizerOptions& options,
                              const std::function<void(const TrainTokenizerProgress&)>& progress) {
  check(options);
  using Stage = TrainTokenizerProgress::Stage;
  PieceCounter counter(make_splitter(options.pattern), options.max_pieces);
  int64_t reported = 0;
  while (const std::optional<std::string> document = next()) {
    counter.add(*document);
    if (progress && counter.total_bytes() - reported >= kReportBytes) {
      reported = counter.total_bytes();
      progress({Stage::kReading, reported, 0});
    }
  }

  const auto specials = static_cast<int64_t>(options.special_tokens.size());
  const int64_t ordinary = options.vocab_size - specials;
  MergeLearner learner(counter.sorted(), options);
  const Vocabulary& vocabulary = learner.vocabulary();
  while (vocabulary.size() < ordinary && learner.learn_one()) {
    if (progress && vocabulary.size() % kReportTokens == 0) {
      progress({Stage::kMerging, vocabulary.size() - 256, ordinary - 256});
    }
  }

  TokenizerSpec spec;
  spec.pattern = options.pattern;
  for (TokenId id = 0; id < vocabulary.size(); ++id) spec.tokens.emplace_back(vocabulary.bytes(id));
  for (int64_t i = 0; i < specials; ++i) {
    spec.specials[options.special_tokens[static_cast<size_t>(i)]] =
        vocabulary.size() + static_cast<TokenId>(i);
  }
  return spec;
}

}  // namespace corral::text
