#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <vector>

#include "base/file.h"

namespace corral::data {

/// A corpus as token ids, mapped from a file (docs/formats/tokens.md): documents one after another,
/// and for each token whether it may be a training target.
class TokenFile {
 public:
  /// Reads header and table of documents. Throws IoError, CorruptFile.
  static std::shared_ptr<const TokenFile> open(const std::filesystem::path& path);

  int64_t documents() const { return documents_; }
  int64_t tokens() const { return tokens_; }
  /// Bytes of text that the tokens stand for.
  int64_t text_bytes() const { return text_bytes_; }
  /// A hash of all that the file holds, to notice that a corpus is not the one it was.
  uint64_t content_hash() const { return content_hash_; }

  /// Tokens of a document, at least 2.
  int64_t length(int64_t document) const {
    return static_cast<int64_t>(offset(document + 1) - offset(document));
  }
  /// Copies tokens [begin, begin + out.size()) of a document.
  void copy(int64_t document, int64_t begin, std::span<int32_t> out) const;
  /// Whether that token of a document may be a target.
  bool supervised(int64_t document, int64_t token) const;

 private:
  TokenFile() = default;
  uint64_t offset(int64_t document) const;
  void check_offsets() const;

  std::shared_ptr<const MappedFile> file_;
  const std::byte* token_data_ = nullptr;
  const std::byte* offset_data_ = nullptr;
  const std::byte* mask_data_ = nullptr;  // null: everything is supervised
  int64_t bytes_per_token_ = 2;
  int64_t documents_ = 0;
  int64_t tokens_ = 0;
  int64_t text_bytes_ = 0;
  uint64_t content_hash_ = 0;
};

/// Writes a token file, document by document; it appears under its name at commit().
class TokenFileWriter {
 public:
  /// vocab_size decides between 2 and 4 bytes a token. Throws IoError.
  TokenFileWriter(const std::filesystem::path& path, int64_t vocab_size);

  /// supervised: one entry a token, or empty when all are. Documents of fewer than two tokens are
  /// left out: nothing can be learned from them. text_bytes: length of the text behind them.
  void add(std::span<const int32_t> tokens, const std::vector<bool>& supervised,
           int64_t text_bytes);
  int64_t tokens() const { return static_cast<int64_t>(offsets_.back()); }
  void commit();

 private:
  void write(const void* data, size_t size_bytes);

  AtomicFile file_;
  int64_t bytes_per_token_;
  std::vector<uint64_t> offsets_{0};
  std::vector<uint8_t> mask_;
  bool any_masked_ = false;
  int64_t text_bytes_ = 0;
  uint64_t hash_;
};

/// FNV-1a over bytes, continuing from `hash`.
uint64_t hash_bytes(const void* data, size_t size_bytes, uint64_t hash = 0xCBF29CE484222325u);

}  // namespace corral::data
