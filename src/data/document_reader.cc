#include "data/document_reader.h"

#include <algorithm>
#include <cctype>
#include <string_view>

#include "base/error.h"
#include "base/json.h"
#include "data/byte_stream.h"
#include "text/unicode.h"

namespace corral::data {
namespace {

constexpr size_t kReadBytes = size_t{1} << 18;

bool is_jsonl(const std::filesystem::path& path) {
  const std::string name = path.filename().string();
  return name.ends_with(".jsonl") || name.ends_with(".jsonl.zst");
}

bool is_blank(std::string_view line) {
  return std::all_of(line.begin(), line.end(),
                     [](unsigned char c) { return std::isspace(c) != 0; });
}

const std::string& string_field(const Json& object, const char* key, const std::string& where) {
  const auto field = object.find(key);
  if (field == object.end() || !field->is_string()) {
    throw CorruptFile(str(where, ": a message needs \"", key, "\" as a string"));
  }
  return field->get_ref<const std::string&>();
}

Document parse_document(std::string_view line, const std::string& where) {
  const Json value = parse_json(line, where);
  if (!value.is_object()) throw CorruptFile(str(where, ": not a JSON object"));
  Document document;
  if (const auto source = value.find("source"); source != value.end() && source->is_string()) {
    document.source = source->get<std::string>();
  }
  if (const auto text = value.find("text"); text != value.end()) {
    if (!text->is_string()) throw CorruptFile(str(where, ": \"text\" is not a string"));
    document.text = text->get<std::string>();
    return document;
  }
  const auto messages = value.find("messages");
  if (messages == value.end()) {
    throw CorruptFile(str(where, ": neither \"text\" nor \"messages\""));
  }
  if (!messages->is_array() || messages->empty()) {
    throw CorruptFile(str(where, ": \"messages\" is not a list of messages"));
  }
  for (const Json& message : *messages) {
    if (!message.is_object()) throw CorruptFile(str(where, ": a message is not an object"));
    document.messages.push_back(
        {string_field(message, "role", where), string_field(message, "content", where)});
  }
  return document;
}

/// How many bytes of an over-long text make one document: up to the last blank line, else the last
/// line end, else the last whole character.
size_t cut_of(std::string_view text) {
  if (const size_t blank = text.rfind("\n\n"); blank != text.npos && blank > 0) return blank + 2;
  if (const size_t end = text.rfind('\n'); end != text.npos) return end + 1;
  size_t cut = text.size();
  while (cut > 0 && text.size() - cut < 4 &&
         (static_cast<unsigned char>(text[cut - 1]) & 0xC0u) == 0x80u) {
    --cut;
  }
  return cut > 1 ? cut - 1 : text.size();
}

}  // namespace

struct DocumentReader::State {
  std::vector<std::filesystem::path> files;
  size_t next_file = 0;
  std::optional<ByteStream> stream;
  std::filesystem::path path;
  std::string buffer;  // bytes read but not yet delivered, from `begin`
  size_t begin = 0;
  int64_t line = 0;

  void open_next() {
    path = files[next_file++];
    stream.emplace(path);
    buffer.clear();
    begin = 0;
    line = 0;
  }

  /// Reads more bytes behind the buffer; false at the end of the file.
  bool fill(size_t size) {
    buffer.erase(0, begin);
    begin = 0;
    const size_t old = buffer.size();
    buffer.resize(old + size);
    buffer.resize(old + stream->read({buffer.data() + old, size}));
    return buffer.size() > old;
  }

  std::optional<Document> next_line() {
    size_t searched = 0;
    while (true) {
      const size_t end = buffer.find('\n', begin + searched);
      const bool found = end != buffer.npos;
      const size_t length = (found ? end : buffer.size()) - begin;
      if (length > static_cast<size_t>(kMaxLineBytes)) {
        throw CorruptFile(
            str(path.string(), ":", line + 1, ": a line of more than ", kMaxLineBytes, " bytes"));
      }
      if (!found) {
        searched = length;
        if (fill(kReadBytes)) continue;
        if (length == 0) return std::nullopt;
      }
      ++line;
      const std::string_view text(buffer.data() + begin, length);
      if (!is_blank(text)) {
        Document document = parse_document(text, str(path.string(), ":", line));
        begin += length + (found ? 1 : 0);
        return document;
      }
      begin += length + (found ? 1 : 0);
      searched = 0;
    }
  }

  std::optional<Document> next_text() {
    const auto limit = static_cast<size_t>(kMaxTextDocumentBytes);
    while (buffer.size() - begin <= limit && fill(kReadBytes)) {
    }
    std::string_view text(buffer.data() + begin, std::min(buffer.size() - begin, limit));
    if (text.empty()) return std::nullopt;
    if (buffer.size() - begin > limit) text = text.substr(0, cut_of(text));
    check_utf8(text);
    line += std::count(text.begin(), text.end(), '\n');
    begin += text.size();
    Document document;
    document.text = text;
    return document;
  }

  void check_utf8(std::string_view text) const {
    int64_t at_line = line + 1;
    for (size_t at = 0; at < text.size();) {
      const size_t length = text::utf8_char_bytes(text, at);
      if (length == 0) {
        throw CorruptFile(str(path.string(), ":", at_line, ": not valid UTF-8"));
      }
      if (text[at] == '\n') ++at_line;
      at += length;
    }
  }
};

DocumentReader::DocumentReader(std::vector<std::filesystem::path> files)
    : state_(std::make_unique<State>()) {
  for (const auto& path : files) {
    if (!is_document_file(path)) {
      throw UsageError(str(path.string(),
                           ": the name of a corpus file ends in .jsonl, .jsonl.zst, .txt or "
                           ".txt.zst"));
    }
  }
  state_->files = std::move(files);
}

DocumentReader::~DocumentReader() = default;
DocumentReader::DocumentReader(DocumentReader&&) noexcept = default;
DocumentReader& DocumentReader::operator=(DocumentReader&&) noexcept = default;

std::optional<Document> DocumentReader::next() {
  State& state = *state_;
  while (true) {
    if (!state.stream) {
      if (state.next_file == state.files.size()) return std::nullopt;
      state.open_next();
    }
    std::optional<Document> document = is_jsonl(state.path) ? state.next_line() : state.next_text();
    if (document) return document;
    state.stream.reset();
  }
}

bool is_document_file(const std::filesystem::path& path) {
  const std::string name = path.filename().string();
  return is_jsonl(path) || name.ends_with(".txt") || name.ends_with(".txt.zst");
}

}  // namespace corral::data
