#include <algorithm>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "text/byte_level.h"
#include "text/tokenizer_files.h"

namespace corral::text {
namespace {

/// Walks the parts of a tokenizer.json; every complaint begins with the file's name.
class HfReader {
 public:
  HfReader(const Json& root, const std::string& what) : root_(root), what_(what) {}

  TokenizerSpec read() {
    if (!root_.is_object()) corrupt("is no JSON object");
    const Json& model = member(root_, "model");
    check_kind(model);
    const Json& vocab = member(model, "vocab");
    if (!vocab.is_object()) corrupt("model.vocab is no object");
    read_added_tokens();
    read_vocab(vocab);
    const Json& merges = member(model, "merges");
    if (!merges.is_array()) corrupt("model.merges is no array");
    if (merges.empty() && spec_.tokens.size() > 256) corrupt("model.merges is empty");
    spec_.merges.reserve(merges.size());
    for (const Json& merge : merges) spec_.merges.push_back(read_merge(merge));
    spec_.whole_pieces = model.value("ignore_merges", false);
    read_pre_tokenizer();
    return std::move(spec_);
  }

 private:
  [[noreturn]] void corrupt(const std::string& why) const {
    throw CorruptFile(str(what_, ": ", why));
  }
  [[noreturn]] void unsupported(const std::string& why) const {
    throw NotSupported(str(what_, ": ", why, "; only byte-level BPE is supported"));
  }

  const Json& member(const Json& object, const char* name) const {
    const auto found = object.find(name);
    if (found == object.end()) corrupt(str("has no \"", name, "\""));
    return *found;
  }
  static bool is_set(const Json& object, const char* name) {
    const auto found = object.find(name);
    return found != object.end() && !found->is_null() && *found != Json("") &&
           *found != Json(false);
  }

  void check_kind(const Json& model) const {
    if (!model.is_object()) corrupt("\"model\" is no object");
    const Json type = model.value("type", Json("BPE"));
    if (type != Json("BPE")) unsupported(str("the model is of type ", type.dump()));
    for (const char* name : {"byte_fallback", "continuing_subword_prefix", "end_of_word_suffix"}) {
      if (is_set(model, name)) unsupported(str("model.", name, " is set"));
    }
    if (is_set(root_, "normalizer")) unsupported("there is a normalizer");
    const auto ignore = model.find("ignore_merges");
    if (ignore != model.end() && !ignore->is_boolean())
      corrupt("model.ignore_merges is no boolean");
  }

  TokenId read_id(const Json& value, const std::string& token) const {
    if (!value.is_number_integer() || value.get<int64_t>() < 0 ||
        value.get<int64_t>() >= kMaxTokenIds) {
      corrupt(str("the id of ", Json(token).dump(), " is ", value.dump(), ", needs 0 to ",
                  kMaxTokenIds - 1));
    }
    return value.get<TokenId>();
  }

  /// All added tokens are kept as special ones: they never come out of merges.
  void read_added_tokens() {
    const auto found = root_.find("added_tokens");
    if (found == root_.end() || found->is_null()) return;
    if (!found->is_array()) corrupt("\"added_tokens\" is no array");
    for (const Json& token : *found) {
      if (!token.is_object() || !member(token, "content").is_string()) {
        corrupt("an added token has no text \"content\"");
      }
      const auto content = token["content"].get<std::string>();
      if (!spec_.specials.emplace(content, read_id(member(token, "id"), content)).second) {
        corrupt(str("the added token ", Json(content).dump(), " occurs twice"));
      }
    }
  }

  void read_vocab(const Json& vocab) {
    for (const auto& [text, value] : vocab.items()) {
      const TokenId id = read_id(value, text);
      // Some files repeat the added tokens here.
      const auto added = spec_.specials.find(text);
      if (added != spec_.specials.end() && added->second == id) continue;
      const std::optional<std::string> bytes = from_byte_level(text);
      if (!bytes)
        unsupported(str("the token ", Json(text).dump(), " is not in byte-level letters"));
      if (bytes->empty()) corrupt(str("token ", id, " is empty"));
      const auto place = static_cast<size_t>(id);
      // Ids may have holes, but the file's own size bounds them.
      if (place >= 16 * (vocab.size() + spec_.specials.size())) {
        corrupt(str("token ", id, " in a vocabulary of ", vocab.size()));
      }
      if (place >= spec_.tokens.size()) spec_.tokens.resize(place + 1);
      if (!spec_.tokens[place].empty()) corrupt(str("two tokens have id ", id));
      spec_.tokens[place] = *bytes;
    }
  }

  std::pair<std::string, std::string> read_merge(const Json& merge) const {
    std::string left;
    std::string right;
    if (merge.is_string()) {
      const auto& text = merge.get_ref<const std::string&>();
      const size_t space = text.find(' ');
      if (space == text.npos) corrupt(str("merge ", merge.dump(), " has no space"));
      left = text.substr(0, space);
      right = text.substr(space + 1);
    } else if (merge.is_array() && merge.size() == 2 && merge[0].is_string() &&
               merge[1].is_string()) {
      left = merge[0].get<std::string>();
      right = merge[1].get<std::string>();
    } else {
      corrupt(str("merge ", spec_.merges.size(), " is neither \"a b\" nor [\"a\", \"b\"]"));
    }
    const auto left_bytes = from_byte_level(left);
    const auto right_bytes = from_byte_level(right);
    if (!left_bytes || !right_bytes) {
      corrupt(str("merge ", merge.dump(), " is not in byte-level letters"));
    }
    return {*left_bytes, *right_bytes};
  }

  void read_pre_tokenizer() {
    const Json none;
    const Json& top = root_.contains("pre_tokenizer") ? root_["pre_tokenizer"] : none;
    Json::array_t parts;
    if (top.is_object() && top.value("type", Json()) == Json("Sequence")) {
      const Json& list = member(top, "pretokenizers");
      if (!list.is_array()) corrupt("pre_tokenizer.pretokenizers is no array");
      parts = list.get<Json::array_t>();
    } else if (top.is_object()) {
      parts.push_back(top);
    }
    for (const Json& part : parts) read_pre_tokenizer_part(part);
    if (spec_.pattern.empty()) unsupported("there is no split pattern");
  }

  void read_pre_tokenizer_part(const Json& part) {
    if (!part.is_object()) corrupt("a pre-tokenizer is no object");
    const Json type = part.value("type", Json());
    if (type == Json("Split")) {
      const Json& pattern = member(part, "pattern");
      if (!pattern.is_object() || !pattern.contains("Regex") || !pattern["Regex"].is_string()) {
        unsupported("the split pattern is no \"Regex\"");
      }
      if (!spec_.pattern.empty()) unsupported("there are two split patterns");
      spec_.pattern = pattern["Regex"].get<std::string>();
      if (is_set(part, "invert")) unsupported("the split pattern is inverted");
    } else if (type == Json("ByteLevel")) {
      if (is_set(part, "add_prefix_space")) unsupported("a space is put before every text");
      if (part.value("use_regex", Json(true)) != Json(false) && spec_.pattern.empty()) {
        spec_.pattern = kGpt2Pattern;
      }
    } else {
      unsupported(str("there is a pre-tokenizer of type ", type.dump()));
    }
  }

  static constexpr const char* kGpt2Pattern =
      R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

  const Json& root_;
  const std::string& what_;
  TokenizerSpec spec_;
};

}  // namespace

TokenizerSpec parse_hf_tokenizer(std::string_view json, const std::string& what) {
  const Json root = parse_json(json, what);
  return HfReader(root, what).read();
}

TokenizerSpec read_hf_tokenizer_file(const std::filesystem::path& path) {
  return parse_hf_tokenizer(read_file(path, kMaxTokenizerBytes), path.string());
}

std::shared_ptr<const Tokenizer> load_tokenizer_files(const std::filesystem::path& path) {
  namespace fs = std::filesystem;
  const auto make = [](const TokenizerSpec& spec, const fs::path& file) {
    try {
      return Tokenizer::create(spec);
    } catch (const CorruptFile& error) {
      throw CorruptFile(str(file.string(), ": ", error.what()));
    }
  };
  if (fs::is_directory(path)) {
    for (const char* name : {"tokenizer.json", "tokenizer.model"}) {
      if (fs::exists(path / name)) return load_tokenizer_files(path / name);
    }
    throw IoError(str(path.string(), ": no tokenizer.json and no tokenizer.model in this folder"));
  }
  if (path.extension() == ".json") return make(read_hf_tokenizer_file(path), path);
  return make(read_tiktoken_file(path), path);
}

}  // namespace corral::text
