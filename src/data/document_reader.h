#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace corral::data {

/// One message of a chat document.
struct Message {
  std::string role;
  std::string content;

  bool operator==(const Message&) const = default;
};

/// One document of a corpus: plain text, or a conversation (then `text` is empty). All strings are
/// valid UTF-8.
struct Document {
  std::string text;
  std::vector<Message> messages;
  std::string source;  // "source" of the JSON line; empty where there is none

  bool is_chat() const { return !messages.empty(); }
};

/// The longest line of a JSONL file that is read, and the longest document of a text file.
inline constexpr int64_t kMaxLineBytes = int64_t{64} << 20;
inline constexpr int64_t kMaxTextDocumentBytes = int64_t{16} << 20;

/// Streams the documents of files, one file after the other, in bounded memory (a few times the
/// longest line). By name:
///
///     .jsonl, .jsonl.zst  a document a line: {"text": ..., "source"?: ...} or
///                         {"messages": [{"role": ..., "content": ...}, ...], "source"?: ...};
///                         other keys and blank lines are skipped
///     .txt, .txt.zst      one document; a file of more than 16 MiB is cut at blank lines (else at
///                         line ends, else between characters) into documents of at most that
class DocumentReader {
 public:
  /// Throws UsageError for a name with another ending. Files are opened when their turn comes.
  explicit DocumentReader(std::vector<std::filesystem::path> files);
  ~DocumentReader();
  DocumentReader(DocumentReader&&) noexcept;
  DocumentReader& operator=(DocumentReader&&) noexcept;

  /// The next document, nullopt after the last. Throws IoError, and CorruptFile naming file and
  /// line: broken JSON, bytes that are not UTF-8, a line of more than 64 MiB, neither text nor
  /// messages, a message without role or content, a broken zstd stream.
  std::optional<Document> next();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// True when DocumentReader reads files of this name.
bool is_document_file(const std::filesystem::path& path);

}  // namespace corral::data
