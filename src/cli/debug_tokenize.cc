#include <memory>

#include "base/encoding.h"
#include "base/error.h"
#include "cli/commands.h"
#include "cli/json_lines.h"
#include "cli/load_tokenizer.h"

namespace corral::cli {
namespace {

using OrderedJson = nlohmann::ordered_json;

struct TokenizeOptions {
  std::string model;
  bool decode = false;
};

std::string input_bytes(const OrderedJson& line) {
  if (line.contains("utf8_hex")) {
    auto bytes = from_hex(line["utf8_hex"].get<std::string>());
    if (!bytes)
      throw UsageError(
          "utf8_hex has an odd number of digits, or a character that is no hexadecimal digit");
    return std::move(*bytes);
  }
  if (line.contains("text")) return line["text"].get<std::string>();
  throw UsageError("neither \"text\" nor \"utf8_hex\"");
}

OrderedJson encode(const text::Tokenizer& tokenizer, const OrderedJson& line) {
  text::EncodeOptions options;
  options.bos = line.value("bos", false);
  options.eos = line.value("eos", false);
  const OrderedJson special = line.value("special", OrderedJson(false));
  if (special.is_array()) {
    options.special = text::SpecialText::kAllowed;
    options.allowed = special.get<std::vector<std::string>>();
  } else if (special.get<bool>()) {
    options.special = text::SpecialText::kAll;
  }
  return {{"ids", tokenizer.encode(input_bytes(line), options)}};
}

OrderedJson decode(const text::Tokenizer& tokenizer, const OrderedJson& line) {
  if (!line.contains("ids") || !line["ids"].is_array()) throw UsageError("no list \"ids\"");
  std::vector<text::TokenId> ids;
  for (const OrderedJson& id : line["ids"]) {
    if (!id.is_number_integer() || id < 0 || id >= tokenizer.vocab_size()) {
      throw UsageError(str("id ", id.dump(), ", needs 0 to ", tokenizer.vocab_size() - 1));
    }
    ids.push_back(id.get<text::TokenId>());
  }
  return {{"text", tokenizer.decode_text(ids)}, {"utf8_hex", to_hex(tokenizer.decode(ids))}};
}

}  // namespace

void add_debug_tokenize(CLI::App& debug, Io& io) {
  auto options = std::make_shared<TokenizeOptions>();
  CLI::App* command = debug.add_subcommand("tokenize", "text to token ids, or back");
  command->add_option("model", options->model, kTokenizerHelp)->required();
  command->add_flag("--decode", options->decode, "ids to text");
  command->footer(
      "One JSON object a line in, one out. In: \"text\" or \"utf8_hex\"; \"special\": true or a "
      "list\n"
      "turns spelled-out special tokens into tokens; \"bos\", \"eos\". With --decode: \"ids\".\n"
      "Examples:\n"
      "  echo '{\"text\": \"Hello\", \"bos\": true}' | corral debug tokenize tokenizer.model\n"
      "  echo '{\"ids\": [72, 105]}' | corral debug tokenize --decode models/tokenizer-4k");
  command->callback([options, &io] {
    const auto tokenizer = load_tokenizer(options->model);
    answer_json_lines(io, [&](const OrderedJson& line) {
      return options->decode ? decode(*tokenizer, line) : encode(*tokenizer, line);
    });
  });
}

}  // namespace corral::cli
