#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"
#include "text/byte_level.h"
#include "text/chat_template.h"
#include "text/tokenizer_files.h"

namespace corral::text {
namespace {

using OrderedJson = nlohmann::ordered_json;

std::string json_string(const std::string& text) { return OrderedJson(text).dump(); }

/// Specials in order of their ids.
std::vector<std::pair<TokenId, std::string>> specials_by_id(const TokenizerSpec& spec) {
  std::vector<std::pair<TokenId, std::string>> specials;
  for (const auto& [spelling, id] : spec.specials) specials.emplace_back(id, spelling);
  std::sort(specials.begin(), specials.end());
  return specials;
}

OrderedJson added_token(const std::string& spelling) {
  return {{"content", spelling}, {"lstrip", false},      {"normalized", false},
          {"rstrip", false},     {"single_word", false}, {"special", true}};
}

OrderedJson pre_tokenizer(const std::string& pattern) {
  const OrderedJson split = {{"type", "Split"},
                             {"pattern", {{"Regex", pattern}}},
                             {"behavior", "Isolated"},
                             {"invert", false}};
  const OrderedJson bytes = {{"type", "ByteLevel"},
                             {"add_prefix_space", false},
                             {"trim_offsets", true},
                             {"use_regex", false}};
  return {{"type", "Sequence"}, {"pretokenizers", OrderedJson::array({split, bytes})}};
}

/// begin_of_text in front of every text; null without such a token.
OrderedJson post_processor(const Tokenizer& tokenizer) {
  const auto bos = tokenizer.bos_id();
  if (!bos) return nullptr;
  const std::string name(special::kBeginOfText);
  const auto special = [&name](int type) -> OrderedJson {
    return {{"SpecialToken", {{"id", name}, {"type_id", type}}}};
  };
  const auto sequence = [](const char* id, int type) -> OrderedJson {
    return {{"Sequence", {{"id", id}, {"type_id", type}}}};
  };
  return {
      {"type", "TemplateProcessing"},
      {"single", OrderedJson::array({special(0), sequence("A", 0)})},
      {"pair", OrderedJson::array({special(0), sequence("A", 0), special(1), sequence("B", 1)})},
      {"special_tokens",
       {{name,
         {{"id", name},
          {"ids", OrderedJson::array({*bos})},
          {"tokens", OrderedJson::array({name})}}}}}};
}

std::vector<Merge> merges_to_write(const Tokenizer& tokenizer) {
  if (tokenizer.listed_merges().empty()) return minimal_merges(tokenizer.vocabulary());
  return tokenizer.listed_merges();
}

/// The big part, written by hand: one token and one merge a line.
std::string model_json(const Tokenizer& tokenizer) {
  const Vocabulary& vocabulary = tokenizer.vocabulary();
  std::string json = str(R"({"type":"BPE","dropout":null,"unk_token":null,)",
                         R"("continuing_subword_prefix":null,"end_of_word_suffix":null,)",
                         R"("fuse_unk":false,"byte_fallback":false,"ignore_merges":)",
                         tokenizer.whole_pieces() ? "true" : "false", ",\n\"vocab\":{");
  const char* separator = "\n";
  for (TokenId id = 0; id < vocabulary.size(); ++id) {
    if (vocabulary.bytes(id).empty()) continue;
    json += separator;
    json += json_string(to_byte_level(vocabulary.bytes(id)));
    json += ':';
    json += std::to_string(id);
    separator = ",\n";
  }
  json += "\n},\n\"merges\":[";
  separator = "\n";
  for (const Merge& merge : merges_to_write(tokenizer)) {
    json += separator;
    json += json_string(to_byte_level(vocabulary.bytes(merge.left)) + ' ' +
                        to_byte_level(vocabulary.bytes(merge.right)));
    separator = ",\n";
  }
  return json + "\n]}";
}

/// Key and spelling of the roles that transformers knows, those that the vocabulary has.
OrderedJson token_roles(const Tokenizer& tokenizer) {
  OrderedJson roles = OrderedJson::object();
  const auto put = [&](const char* role, std::string_view spelling) {
    if (tokenizer.special_id(spelling)) roles[role] = spelling;
  };
  put("bos_token", special::kBeginOfText);
  put("eos_token", special::kEndOfText);
  put("pad_token", special::kPad);
  return roles;
}

}  // namespace

std::string to_hf_tokenizer(const Tokenizer& tokenizer) {
  OrderedJson added = OrderedJson::array();
  for (const auto& [id, spelling] : specials_by_id(tokenizer.spec())) {
    OrderedJson token = {{"id", id}};
    token.update(added_token(spelling));
    added.push_back(token);
  }
  const OrderedJson decoder = {{"type", "ByteLevel"},
                               {"add_prefix_space", true},
                               {"trim_offsets", true},
                               {"use_regex", true}};
  return str(
      "{\"version\":\"1.0\",\"truncation\":null,\"padding\":null,\n\"added_tokens\":", added.dump(),
      ",\n\"normalizer\":null,\n\"pre_tokenizer\":", pre_tokenizer(tokenizer.pattern()).dump(),
      ",\n\"post_processor\":", post_processor(tokenizer).dump(), ",\n\"decoder\":", decoder.dump(),
      ",\n\"model\":", model_json(tokenizer), "}\n");
}

std::string to_hf_tokenizer_config(const Tokenizer& tokenizer) {
  OrderedJson config = {{"tokenizer_class", "PreTrainedTokenizerFast"},
                        {"add_bos_token", true},
                        {"clean_up_tokenization_spaces", false}};
  config.update(token_roles(tokenizer));
  OrderedJson decoder = OrderedJson::object();
  for (const auto& [id, spelling] : specials_by_id(tokenizer.spec())) {
    decoder[std::to_string(id)] = added_token(spelling);
  }
  config["added_tokens_decoder"] = decoder;
  config["chat_template"] = kChatTemplate;
  return config.dump(2) + "\n";
}

std::string to_hf_special_tokens_map(const Tokenizer& tokenizer) {
  return token_roles(tokenizer).dump(2) + "\n";
}

void save_tokenizer(const Tokenizer& tokenizer, const std::filesystem::path& folder) {
  write_file_atomically(folder / "tokenizer.model", to_tiktoken(tokenizer));
  write_file_atomically(folder / "tokenizer_config.json", to_hf_tokenizer_config(tokenizer));
  write_file_atomically(folder / "special_tokens_map.json", to_hf_special_tokens_map(tokenizer));
  write_file_atomically(folder / "tokenizer.json", to_hf_tokenizer(tokenizer));
}

}  // namespace corral::text
