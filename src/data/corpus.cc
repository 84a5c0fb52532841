#include "data/corpus.h"

#include <cstdio>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

#include "base/error.h"
#include "data/document_reader.h"
#include "text/chat.h"

namespace corral::data {
namespace {

constexpr uint64_t kEncodingVersion = 1;  // raised when the same documents give other tokens
constexpr size_t kGroupDocuments = 512;
constexpr size_t kGroupBytes = size_t{4} << 20;

class Hash {
 public:
  void add(uint64_t value) { state_ = hash_bytes(&value, sizeof(value), state_); }
  void add(std::string_view text) {
    add(text.size());
    state_ = hash_bytes(text.data(), text.size(), state_);
  }
  uint64_t value() const { return state_; }

 private:
  uint64_t state_ = hash_bytes(nullptr, 0);
};

uint64_t cache_key(const CorpusSpec& spec, const text::Tokenizer& tokenizer) {
  Hash hash;
  hash.add(kEncodingVersion);
  hash.add(fingerprint(tokenizer));
  hash.add(static_cast<uint64_t>(spec.supervise));
  for (const auto& path : spec.files) {
    std::error_code error;
    const auto size = std::filesystem::file_size(path, error);
    const auto time = std::filesystem::last_write_time(path, error);
    if (error) throw IoError(str("cannot read ", path.string(), ": ", error.message()));
    hash.add(path.filename().string());
    hash.add(size);
    hash.add(static_cast<uint64_t>(time.time_since_epoch().count()));
  }
  return hash.value();
}

struct Encoded {
  std::vector<text::TokenId> ids;
  std::vector<bool> supervised;  // empty: everything
  int64_t text_bytes = 0;
};

class Encoder {
 public:
  Encoder(std::shared_ptr<const text::Tokenizer> tokenizer, Supervise supervise)
      : tokenizer_(std::move(tokenizer)), supervise_(supervise) {}

  /// Throws UsageError when the vocabulary cannot hold a conversation.
  void prepare(const Document& document) {
    if (document.is_chat() && !chat_) chat_.emplace(tokenizer_);
  }

  Encoded encode(const Document& document) const {
    return document.is_chat() ? encode_chat(document) : encode_text(document);
  }

 private:
  Encoded encode_text(const Document& document) const {
    Encoded out;
    out.text_bytes = static_cast<int64_t>(document.text.size());
    if (const auto bos = tokenizer_->bos_id()) out.ids.push_back(*bos);
    tokenizer_->encode_to(document.text, out.ids);
    if (const auto eos = tokenizer_->eos_id()) out.ids.push_back(*eos);
    return out;
  }

  Encoded encode_chat(const Document& document) const {
    Encoded out;
    std::vector<text::ChatMessage> messages;
    for (const Message& message : document.messages) {
      out.text_bytes += static_cast<int64_t>(message.content.size());
      messages.push_back(text::text_message(message.role, message.content));
    }
    text::RenderOptions options;
    options.add_generation_prompt = false;
    text::RenderedPrompt prompt = chat_->render(messages, options);
    out.ids = std::move(prompt.ids);
    if (supervise_ == Supervise::kAssistant) {
      out.supervised.assign(prompt.from_assistant.begin(), prompt.from_assistant.end());
    }
    return out;
  }

  std::shared_ptr<const text::Tokenizer> tokenizer_;
  Supervise supervise_;
  std::optional<text::ChatFormat> chat_;
};

void write_tokens(const CorpusSpec& spec, const std::shared_ptr<const text::Tokenizer>& tokenizer,
                  const std::filesystem::path& path, ThreadPool& threads,
                  const std::function<void(int64_t)>& progress) {
  DocumentReader reader(spec.files);
  Encoder encoder(tokenizer, spec.supervise);
  TokenFileWriter writer(path, tokenizer->vocab_size());
  while (true) {
    std::vector<Document> documents;
    size_t bytes = 0;
    while (documents.size() < kGroupDocuments && bytes < kGroupBytes) {
      std::optional<Document> document = reader.next();
      if (!document) break;
      encoder.prepare(*document);
      bytes += document->text.size();
      for (const Message& message : document->messages) bytes += message.content.size();
      documents.push_back(std::move(*document));
    }
    if (documents.empty()) break;
    std::vector<Encoded> encoded(documents.size());
    threads.parallel_for(
        static_cast<int64_t>(documents.size()), 1, [&](int64_t begin, int64_t end) {
          for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i) {
            encoded[i] = encoder.encode(documents[i]);
          }
        });
    for (const Encoded& document : encoded) {
      writer.add(document.ids, document.supervised, document.text_bytes);
    }
    if (progress) progress(writer.tokens());
  }
  writer.commit();
}

}  // namespace

uint64_t fingerprint(const text::Tokenizer& tokenizer) {
  Hash hash;
  const text::TokenizerSpec spec = tokenizer.spec();
  hash.add(spec.pattern);
  hash.add(spec.whole_pieces ? 1 : 0);
  for (const std::string& token : spec.tokens) hash.add(token);
  for (const auto& merge : spec.merges) {
    hash.add(merge.first);
    hash.add(merge.second);
  }
  for (const auto& special : spec.specials) {
    hash.add(special.first);
    hash.add(static_cast<uint64_t>(special.second));
  }
  return hash.value();
}

std::shared_ptr<const TokenFile> tokenize_corpus(
    const CorpusSpec& spec, const std::shared_ptr<const text::Tokenizer>& tokenizer,
    const std::filesystem::path& cache_folder, ThreadPool& threads,
    const std::function<void(int64_t)>& progress) {
  char name[40];
  std::snprintf(name, sizeof(name), "%016llx.tokens",
                static_cast<unsigned long long>(cache_key(spec, *tokenizer)));
  std::error_code error;
  std::filesystem::create_directories(cache_folder, error);
  if (error) throw IoError(str("cannot make ", cache_folder.string(), ": ", error.message()));
  const std::filesystem::path path = cache_folder / name;
  if (std::filesystem::exists(path)) {
    try {
      return TokenFile::open(path);
    } catch (const CorruptFile&) {
      std::filesystem::remove(path, error);
    }
  }
  write_tokens(spec, tokenizer, path, threads, progress);
  return TokenFile::open(path);
}

}  // namespace corral::data
