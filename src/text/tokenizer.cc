#include "text/tokenizer.h"

#include <algorithm>

#include "base/error.h"
#include "text/special_finder.h"
#include "text/unicode.h"

namespace corral::text {
namespace {

// all_merges() costs the square of a token's length; the longest one of Llama 4 has 128 bytes.
constexpr size_t kMaxTokenBytes = 512;

/// A token in an error message: printable and short.
std::string quote(std::string_view bytes) {
  std::string out = "\"";
  for (const char c : bytes.substr(0, 40)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7F) {
      out += c;
    } else {
      constexpr char kHex[] = "0123456789abcdef";
      out += {'\\', 'x', kHex[byte >> 4], kHex[byte & 15]};
    }
  }
  return out + (bytes.size() > 40 ? "...\"" : "\"");
}

Vocabulary make_vocabulary(const TokenizerSpec& spec) {
  if (static_cast<int64_t>(spec.tokens.size()) > kMaxTokenIds) {
    throw CorruptFile(str("tokenizer: ", spec.tokens.size(), " tokens, at most ", kMaxTokenIds,
                          " are supported"));
  }
  Vocabulary vocabulary;
  size_t total_bytes = 0;
  for (const std::string& token : spec.tokens) total_bytes += token.size();
  vocabulary.reserve(spec.tokens.size(), total_bytes);
  for (const std::string& token : spec.tokens) {
    if (token.size() > kMaxTokenBytes) {
      throw CorruptFile(str("tokenizer: token ", vocabulary.size(), " has ", token.size(),
                            " bytes, at most ", kMaxTokenBytes, " are supported"));
    }
    if (vocabulary.add(token)) continue;
    throw CorruptFile(str("tokenizer: token ", quote(token), " has id ", vocabulary.find(token),
                          " and id ", vocabulary.size()));
  }
  return vocabulary;
}

std::vector<Merge> read_merges(const TokenizerSpec& spec, const Vocabulary& vocabulary) {
  std::vector<Merge> merges;
  merges.reserve(spec.merges.size());
  for (const auto& [left, right] : spec.merges) {
    const Merge merge{vocabulary.find(left), vocabulary.find(right), vocabulary.find(left + right)};
    if (merge.left < 0 || merge.right < 0 || merge.result < 0) {
      const std::string& unknown = merge.left < 0 ? left : (merge.right < 0 ? right : left + right);
      throw CorruptFile(str("tokenizer: merge ", merges.size(), " of ", quote(left), " and ",
                            quote(right), " needs the token ", quote(unknown),
                            ", which the vocabulary lacks"));
    }
    merges.push_back(merge);
  }
  return merges;
}

}  // namespace

std::shared_ptr<const Tokenizer> Tokenizer::create(const TokenizerSpec& spec) {
  return std::shared_ptr<const Tokenizer>(new Tokenizer(spec));
}

Tokenizer::Tokenizer(const TokenizerSpec& spec)
    : pattern_(spec.pattern),
      whole_pieces_(spec.whole_pieces),
      vocabulary_(make_vocabulary(spec)),
      listed_merges_(read_merges(spec, vocabulary_)),
      splitter_(make_splitter(spec.pattern)),
      vocab_size_(vocabulary_.size()) {
  for (int byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    const TokenId id = vocabulary_.find({&c, 1});
    if (id < 0) {
      throw CorruptFile(
          str("tokenizer: no token for the byte ", byte, "; a byte-level vocabulary has all 256"));
    }
    byte_ids_[static_cast<size_t>(byte)] = id;
  }
  merges_ = std::make_unique<MergeTable>(listed_merges_.empty() ? all_merges(vocabulary_)
                                                                : listed_merges_);
  add_specials(spec.specials);
}

void Tokenizer::add_specials(const std::map<std::string, TokenId>& specials) {
  specials_.insert(specials.begin(), specials.end());
  for (const auto& [spelling, id] : specials_) {
    if (spelling.empty() || id < 0 || id >= kMaxTokenIds) {
      throw CorruptFile(str("tokenizer: special token ", quote(spelling), " has id ", id,
                            ", needs a spelling and an id from 0 to ", kMaxTokenIds - 1));
    }
    if (id < vocabulary_.size() && !vocabulary_.bytes(id).empty()) {
      throw CorruptFile(str("tokenizer: special token ", quote(spelling), " has id ", id,
                            ", which is the token ", quote(vocabulary_.bytes(id))));
    }
    const auto [other, is_new] = special_spelling_.emplace(id, spelling);
    if (!is_new) {
      throw CorruptFile(str("tokenizer: special tokens ", quote(other->second), " and ",
                            quote(spelling), " both have id ", id));
    }
    vocab_size_ = std::max(vocab_size_, id + 1);
  }
  for (const std::optional<TokenId> id : {eos_id(), eom_id(), eot_id()}) {
    if (id) stop_ids_.push_back(*id);
  }
}

void Tokenizer::encode_slice(std::string_view slice, BytePairEncoder& encoder,
                             std::vector<TokenId>& out) const {
  for (size_t at = 0; at < slice.size();) {
    const size_t end = splitter_->piece_end(slice, at);
    const std::string_view piece = slice.substr(at, end - at);
    at = end;
    if (whole_pieces_) {
      if (const TokenId id = vocabulary_.find(piece); id >= 0) {
        out.push_back(id);
        continue;
      }
    }
    encoder.encode(piece, out);
  }
}

void Tokenizer::encode_to(std::string_view text, std::vector<TokenId>& out) const {
  BytePairEncoder encoder(*merges_, byte_ids_);
  TextSlices slices(text);
  for (std::string_view slice = slices.next(); !slice.empty(); slice = slices.next()) {
    encode_slice(slice, encoder, out);
  }
}

std::vector<TokenId> Tokenizer::encode(std::string_view text, const EncodeOptions& options) const {
  std::vector<TokenId> ids;
  ids.reserve(text.size() / 3 + 2);
  const auto push = [&ids](std::optional<TokenId> id, std::string_view name) {
    if (!id) throw UsageError(str("tokenizer: the vocabulary has no ", name));
    ids.push_back(*id);
  };
  if (options.bos) push(bos_id(), special::kBeginOfText);
  if (options.special == SpecialText::kPlain) {
    encode_to(text, ids);
  } else {
    std::vector<SpecialFinder::Spelling> spellings;
    if (options.special == SpecialText::kAll) {
      for (const auto& [spelling, id] : specials_) spellings.push_back({spelling, id});
    } else {
      for (const std::string& name : options.allowed) {
        const auto id = special_id(name);
        if (!id) throw UsageError(str("tokenizer: no special token ", quote(name)));
        spellings.push_back({name, *id});
      }
    }
    const SpecialFinder finder(std::move(spellings));
    BytePairEncoder encoder(*merges_, byte_ids_);
    TextSlices slices(text);
    for (std::string_view slice = slices.next(); !slice.empty(); slice = slices.next()) {
      size_t at = 0;
      while (const auto match = finder.find(slice, at)) {
        encode_slice(slice.substr(at, match->begin - at), encoder, ids);
        ids.push_back(match->id);
        at = match->end;
      }
      encode_slice(slice.substr(at), encoder, ids);
    }
  }
  if (options.eos) push(eos_id(), special::kEndOfText);
  return ids;
}

std::string Tokenizer::decode(std::span<const TokenId> ids) const {
  std::string bytes;
  for (const TokenId id : ids) {
    const std::string_view token = token_bytes(id);
    if (token.empty()) {
      throw UsageError(str("tokenizer: ", id, " is no token of this vocabulary of ", vocab_size_));
    }
    bytes += token;
  }
  return bytes;
}

std::string Tokenizer::decode_text(std::span<const TokenId> ids) const {
  return utf8_with_replacement(decode(ids));
}

std::string_view Tokenizer::token_bytes(TokenId id) const {
  if (id < 0) return {};
  if (id < vocabulary_.size() && !vocabulary_.bytes(id).empty()) return vocabulary_.bytes(id);
  const auto found = special_spelling_.find(id);
  return found == special_spelling_.end() ? std::string_view{} : found->second;
}

std::optional<TokenId> Tokenizer::special_id(std::string_view spelling) const {
  const auto found = specials_.find(spelling);
  if (found == specials_.end()) return std::nullopt;
  return found->second;
}

bool Tokenizer::is_special(TokenId id) const { return special_spelling_.count(id) > 0; }

std::optional<TokenId> Tokenizer::token_id(std::string_view bytes) const {
  const TokenId id = vocabulary_.find(bytes);
  if (id < 0) return std::nullopt;
  return id;
}

bool Tokenizer::is_stop(TokenId id) const {
  return std::find(stop_ids_.begin(), stop_ids_.end(), id) != stop_ids_.end();
}

TokenizerSpec Tokenizer::spec() const {
  TokenizerSpec spec;
  spec.pattern = pattern_;
  spec.whole_pieces = whole_pieces_;
  spec.specials.insert(specials_.begin(), specials_.end());
  spec.tokens.reserve(static_cast<size_t>(vocabulary_.size()));
  for (TokenId id = 0; id < vocabulary_.size(); ++id)
    spec.tokens.emplace_back(vocabulary_.bytes(id));
  spec.merges.reserve(listed_merges_.size());
  for (const Merge& merge : listed_merges_) {
    spec.merges.emplace_back(vocabulary_.bytes(merge.left), vocabulary_.bytes(merge.right));
  }
  return spec;
}

}  // namespace corral::text
