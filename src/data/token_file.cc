#include "data/token_file.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <string>

#include "base/error.h"

namespace corral::data {
namespace {

constexpr std::array<char, 8> kMagic = {'c', 'o', 'r', 'r', 'a', 'l', 't', 'k'};
constexpr uint32_t kVersion = 1;
constexpr size_t kTwoByteVocabulary = size_t{1} << 16;

struct Header {
  std::array<char, 8> magic = kMagic;
  uint32_t version = kVersion;
  uint32_t bytes_per_token = 2;
};

/// At the end of the file, where the counts are known.
struct Footer {
  uint64_t documents = 0;
  uint64_t tokens = 0;
  uint64_t text_bytes = 0;
  uint64_t mask_bytes = 0;
  uint64_t content_hash = 0;
  std::array<char, 8> magic = kMagic;
};

uint64_t padded(uint64_t size) { return (size + 7) / 8 * 8; }

}  // namespace

uint64_t hash_bytes(const void* data, size_t size_bytes, uint64_t hash) {
  const auto* at = static_cast<const unsigned char*>(data);
  for (size_t i = 0; i < size_bytes; ++i) hash = (hash ^ at[i]) * 0x100000001B3u;
  return hash;
}

std::shared_ptr<const TokenFile> TokenFile::open(const std::filesystem::path& path) {
  const auto corrupt = [&](const char* what) {
    return CorruptFile(str(path.string(), ": ", what, "; delete it, it is made again"));
  };
  std::shared_ptr<TokenFile> result(new TokenFile());
  result->file_ = MappedFile::open(path);
  const std::span<const std::byte> bytes = result->file_->bytes();
  Header header;
  Footer footer;
  if (bytes.size() < sizeof(header) + sizeof(footer)) throw corrupt("too short for a token file");
  std::memcpy(&header, bytes.data(), sizeof(header));
  std::memcpy(&footer, bytes.data() + bytes.size() - sizeof(footer), sizeof(footer));
  if (header.magic != kMagic || footer.magic != kMagic) throw corrupt("not a token file");
  if (header.version != kVersion || (header.bytes_per_token != 2 && header.bytes_per_token != 4)) {
    throw corrupt("a token file of another version");
  }
  // With both counts at most the number of bytes, no product below can overflow.
  if (footer.tokens > bytes.size() || footer.documents > bytes.size()) throw corrupt("cut off");
  const uint64_t token_bytes = padded(footer.tokens * header.bytes_per_token);
  const uint64_t offset_bytes = (footer.documents + 1) * sizeof(uint64_t);
  const uint64_t mask_bytes = footer.mask_bytes == 0 ? 0 : padded((footer.tokens + 7) / 8);
  if (footer.mask_bytes != mask_bytes ||
      bytes.size() != sizeof(header) + token_bytes + offset_bytes + mask_bytes + sizeof(footer)) {
    throw corrupt("sizes do not add up");
  }
  result->bytes_per_token_ = header.bytes_per_token;
  result->documents_ = static_cast<int64_t>(footer.documents);
  result->tokens_ = static_cast<int64_t>(footer.tokens);
  result->text_bytes_ = static_cast<int64_t>(footer.text_bytes);
  result->content_hash_ = footer.content_hash;
  result->token_data_ = bytes.data() + sizeof(header);
  result->offset_data_ = result->token_data_ + token_bytes;
  if (mask_bytes > 0) result->mask_data_ = result->offset_data_ + offset_bytes;
  result->check_offsets();
  return result;
}

uint64_t TokenFile::offset(int64_t document) const {
  uint64_t value;
  std::memcpy(&value, offset_data_ + document * static_cast<int64_t>(sizeof(value)), sizeof(value));
  return value;
}

void TokenFile::check_offsets() const {
  bool good = offset(0) == 0 && offset(documents_) == static_cast<uint64_t>(tokens_);
  for (int64_t d = 0; good && d < documents_; ++d) {
    const uint64_t begin = offset(d);
    good = begin <= static_cast<uint64_t>(tokens_) && offset(d + 1) >= begin + 2;
  }
  if (!good) {
    throw CorruptFile(
        str(file_->path().string(), ": broken table of documents; delete it, it is made again"));
  }
}

void TokenFile::copy(int64_t document, int64_t begin, std::span<int32_t> out) const {
  if (document < 0 || document >= documents_ || begin < 0 ||
      begin > length(document) - static_cast<int64_t>(out.size())) {
    throw Error(str("token file: tokens [", begin, ", +", out.size(), ") of document ", document,
                    " are not there"));
  }
  const std::byte* at =
      token_data_ + (static_cast<int64_t>(offset(document)) + begin) * bytes_per_token_;
  if (bytes_per_token_ == 4) {
    std::memcpy(out.data(), at, out.size_bytes());
    return;
  }
  for (int32_t& token : out) {
    uint16_t narrow;
    std::memcpy(&narrow, at, sizeof(narrow));
    token = narrow;
    at += sizeof(narrow);
  }
}

bool TokenFile::supervised(int64_t document, int64_t token) const {
  if (mask_data_ == nullptr) return true;
  const uint64_t bit = offset(document) + static_cast<uint64_t>(token);
  return ((static_cast<unsigned>(mask_data_[bit / 8]) >> (bit % 8)) & 1u) != 0;
}

TokenFileWriter::TokenFileWriter(const std::filesystem::path& path, int64_t vocab_size)
    : file_(path),
      bytes_per_token_(static_cast<size_t>(vocab_size) <= kTwoByteVocabulary ? 2 : 4),
      hash_(hash_bytes(nullptr, 0)) {
  Header header;
  header.bytes_per_token = static_cast<uint32_t>(bytes_per_token_);
  write(&header, sizeof(header));
}

void TokenFileWriter::write(const void* data, size_t size_bytes) {
  hash_ = hash_bytes(data, size_bytes, hash_);
  file_.write(data, size_bytes);
}

void TokenFileWriter::add(std::span<const int32_t> tokens, const std::vector<bool>& supervised,
                          int64_t text_bytes) {
  if (!supervised.empty() && supervised.size() != tokens.size()) {
    throw Error(
        str("token file: ", supervised.size(), " mask entries for ", tokens.size(), " tokens"));
  }
  if (tokens.size() < 2) return;
  const size_t begin = offsets_.back();
  offsets_.push_back(begin + tokens.size());
  text_bytes_ += text_bytes;
  mask_.resize((begin + tokens.size() + 7) / 8);
  for (size_t i = 0; i < tokens.size(); ++i) {
    const bool keep = supervised.empty() || supervised[i];
    any_masked_ = any_masked_ || !keep;
    const size_t bit = begin + i;
    if (keep) mask_[bit / 8] = static_cast<uint8_t>(mask_[bit / 8] | (1u << (bit % 8)));
  }
  if (bytes_per_token_ == 4) {
    write(tokens.data(), tokens.size_bytes());
    return;
  }
  std::vector<uint16_t> narrow(tokens.size());
  std::transform(tokens.begin(), tokens.end(), narrow.begin(),
                 [](int32_t token) { return static_cast<uint16_t>(token); });
  write(narrow.data(), narrow.size() * sizeof(uint16_t));
}

void TokenFileWriter::commit() {
  const std::array<char, 8> zeros{};
  const uint64_t token_bytes = offsets_.back() * static_cast<uint64_t>(bytes_per_token_);
  write(zeros.data(), padded(token_bytes) - token_bytes);
  write(offsets_.data(), offsets_.size() * sizeof(uint64_t));
  Footer footer;
  if (any_masked_) {
    mask_.resize(padded(mask_.size()));
    write(mask_.data(), mask_.size());
    footer.mask_bytes = mask_.size();
  }
  footer.documents = offsets_.size() - 1;
  footer.tokens = offsets_.back();
  footer.text_bytes = static_cast<uint64_t>(text_bytes_);
  footer.content_hash = hash_;
  file_.write(&footer, sizeof(footer));
  file_.commit();
}

}  // namespace corral::data
