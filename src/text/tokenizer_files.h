#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer.h"

namespace corral::text {

/// The largest file that is read as a tokenizer.
inline constexpr int64_t kMaxTokenizerBytes = int64_t{1} << 28;

/// Reads Meta's `tokenizer.model` (tiktoken form): lines of a base64 token and its rank, which is
/// its id; ranks 0 to N-1 in any order. The file has no special tokens: they follow as N, N+1, ...,
/// Llama 4's 2,048 where N is 200,000, otherwise compact_special_tokens(). An empty `specials`
/// means this default. Throws IoError, CorruptFile (path and line).
TokenizerSpec read_tiktoken_file(const std::filesystem::path& path,
                                 std::vector<std::string> specials = {});
TokenizerSpec parse_tiktoken(std::string_view text, const std::string& what,
                             std::vector<std::string> specials = {});

/// The same form, without the special tokens. Throws UsageError when ids have holes.
std::string to_tiktoken(const Tokenizer& tokenizer);

/// Reads Hugging Face's `tokenizer.json`: byte-level BPE with a split pattern (merges as "a b" or
/// as pairs) and added tokens. Throws IoError; CorruptFile for broken files; NotSupported for other
/// kinds of tokenizers (WordPiece, Unigram, normalizers, byte fallback).
TokenizerSpec read_hf_tokenizer_file(const std::filesystem::path& path);
TokenizerSpec parse_hf_tokenizer(std::string_view json, const std::string& what);

/// The same form, as the tokenizers library reads it. Merges are those of the tokenizer's own list,
/// or minimal_merges() where ranks alone decide. Adds begin_of_text in front as Llama 4's does.
std::string to_hf_tokenizer(const Tokenizer& tokenizer);

/// `tokenizer_config.json` for transformers: bos, eos, pad, and the chat template.
std::string to_hf_tokenizer_config(const Tokenizer& tokenizer);
std::string to_hf_special_tokens_map(const Tokenizer& tokenizer);

/// One way for each token to come together from two others, ordered by id: the last step that the
/// encoder itself takes on the token's bytes. A token that the encoder never reaches from its own
/// bytes gets every way there is.
std::vector<Merge> minimal_merges(const Vocabulary& vocabulary);

/// Writes tokenizer.json, tokenizer.model, tokenizer_config.json and special_tokens_map.json into
/// an existing folder, each file atomically. Throws IoError.
void save_tokenizer(const Tokenizer& tokenizer, const std::filesystem::path& folder);

/// Reads a tokenizer from `tokenizer.model`, a `.json` file, or a folder that holds
/// `tokenizer.json` or `tokenizer.model` (looked for in this order). Throws IoError naming what is
/// missing.
std::shared_ptr<const Tokenizer> load_tokenizer_files(const std::filesystem::path& path);

}  // namespace corral::text
