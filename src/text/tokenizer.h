#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "text/bpe.h"
#include "text/splitter.h"
#include "text/tokenizer_spec.h"
#include "text/vocabulary.h"

namespace corral::text {

/// The spelling of the special tokens that code asks for by name.
namespace special {
inline constexpr std::string_view kBeginOfText = "<|begin_of_text|>";
inline constexpr std::string_view kEndOfText = "<|end_of_text|>";
inline constexpr std::string_view kHeaderStart = "<|header_start|>";
inline constexpr std::string_view kHeaderEnd = "<|header_end|>";
inline constexpr std::string_view kEndOfMessage = "<|eom|>";
inline constexpr std::string_view kEndOfTurn = "<|eot|>";
inline constexpr std::string_view kPythonStart = "<|python_start|>";
inline constexpr std::string_view kPythonEnd = "<|python_end|>";
inline constexpr std::string_view kPad = "<|finetune_right_pad|>";
inline constexpr std::string_view kImageStart = "<|image_start|>";
inline constexpr std::string_view kImageEnd = "<|image_end|>";
inline constexpr std::string_view kTileXSeparator = "<|tile_x_separator|>";
inline constexpr std::string_view kTileYSeparator = "<|tile_y_separator|>";
inline constexpr std::string_view kImage = "<|image|>";
inline constexpr std::string_view kPatch = "<|patch|>";
}  // namespace special

/// What encode() does with a text that contains the spelling of a special token.
enum class SpecialText {
  kPlain,    // nothing: it is text like any other. For everything that users wrote.
  kAll,      // every special token's spelling becomes that token
  kAllowed,  // only those in EncodeOptions::allowed
};

struct EncodeOptions {
  SpecialText special = SpecialText::kPlain;
  std::vector<std::string> allowed = {};
  bool bos = false;
  bool eos = false;
};

/// Llama 4's tokenizer: byte-level BPE behind a split pattern, and special tokens.
///
/// Encodes like Meta's reference, including where it cuts long texts (TextSlices). Any bytes can be
/// encoded and decode() gives them back. Immutable and thread-safe.
class Tokenizer {
 public:
  /// Throws CorruptFile when the spec contradicts itself: a token twice, a byte without token, a
  /// merge of unknown tokens, a special token on a taken or negative id, more than 2^24 ids, a
  /// token of more than 512 bytes, a pattern that does not compile.
  static std::shared_ptr<const Tokenizer> create(const TokenizerSpec& spec);
  Tokenizer(const Tokenizer&) = delete;
  Tokenizer& operator=(const Tokenizer&) = delete;

  /// bos and eos are the begin_of_text and end_of_text tokens; throws UsageError when the
  /// vocabulary has none, or when `allowed` names an unknown token.
  std::vector<TokenId> encode(std::string_view text, const EncodeOptions& options = {}) const;
  /// Appends the ids of plain text.
  void encode_to(std::string_view text, std::vector<TokenId>& out) const;

  /// The bytes; special tokens by their spelling. Throws UsageError naming an id that is no token.
  std::string decode(std::span<const TokenId> ids) const;
  /// The same as valid UTF-8: ill-formed parts become U+FFFD, one each, as Python does.
  std::string decode_text(std::span<const TokenId> ids) const;

  /// The bytes of one token, a special one's spelling; empty for ids that are no token.
  std::string_view token_bytes(TokenId id) const;
  /// The id of a special token.
  std::optional<TokenId> special_id(std::string_view spelling) const;
  bool is_special(TokenId id) const;
  /// The id of an ordinary token with exactly these bytes.
  std::optional<TokenId> token_id(std::string_view bytes) const;

  /// Largest id + 1.
  TokenId vocab_size() const { return vocab_size_; }
  std::optional<TokenId> bos_id() const { return special_id(special::kBeginOfText); }
  std::optional<TokenId> eos_id() const { return special_id(special::kEndOfText); }
  std::optional<TokenId> eot_id() const { return special_id(special::kEndOfTurn); }
  std::optional<TokenId> eom_id() const { return special_id(special::kEndOfMessage); }
  std::optional<TokenId> pad_id() const { return special_id(special::kPad); }
  /// The tokens that end an answer: end_of_text, eom, eot, those that the vocabulary has.
  const std::vector<TokenId>& stop_ids() const { return stop_ids_; }
  bool is_stop(TokenId id) const;

  /// What this tokenizer was made from, for export.
  TokenizerSpec spec() const;
  const std::string& pattern() const { return pattern_; }
  /// The ordinary tokens.
  const Vocabulary& vocabulary() const { return vocabulary_; }
  /// The merges that the spec listed; empty when ranks alone decide.
  const std::vector<Merge>& listed_merges() const { return listed_merges_; }
  bool whole_pieces() const { return whole_pieces_; }

 private:
  explicit Tokenizer(const TokenizerSpec& spec);
  void add_specials(const std::map<std::string, TokenId>& specials);
  void encode_slice(std::string_view slice, BytePairEncoder& encoder,
                    std::vector<TokenId>& out) const;

  std::string pattern_;
  bool whole_pieces_;
  Vocabulary vocabulary_;
  std::vector<Merge> listed_merges_;  // empty when ranks alone decide
  std::map<std::string, TokenId, std::less<>> specials_;
  std::array<TokenId, 256> byte_ids_{};
  std::unique_ptr<const MergeTable> merges_;
  std::unique_ptr<const Splitter> splitter_;
  std::unordered_map<TokenId, std::string_view> special_spelling_;
  std::vector<TokenId> stop_ids_;
  TokenId vocab_size_ = 0;
};

}  // namespace corral::text
