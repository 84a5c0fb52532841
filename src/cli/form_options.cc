#include "cli/form_options.h"

#include "base/file.h"
#include "engine/constraint/grammar_text.h"
#include "engine/constraint/json_schema.h"

namespace corral::cli {

void FormOptions::add_to(CLI::App& command) {
  auto* schema = command.add_option("--json-schema", schema_,
                                    "file with the JSON schema that the answer follows");
  auto* grammar =
      command.add_option("--grammar", grammar_, "file with the grammar that the answer follows");
  auto* regex =
      command.add_option("--regex", regex_, "regular expression that the whole answer matches");
  schema->excludes(grammar)->excludes(regex);
  grammar->excludes(regex);
}

std::shared_ptr<engine::Constraint> FormOptions::constraint(
    const std::shared_ptr<const text::Tokenizer>& tokenizer) const {
  const auto most = static_cast<int64_t>(engine::kMostGrammarBytes);
  engine::Grammar grammar;
  if (!schema_.empty()) {
    grammar = engine::schema_grammar(engine::parse_schema(read_file(schema_, most)));
  } else if (!grammar_.empty()) {
    grammar = engine::parse_grammar(read_file(grammar_, most));
  } else if (!regex_.empty()) {
    grammar = engine::regex_grammar(regex_);
  } else {
    return nullptr;
  }
  return std::make_shared<engine::Constraint>(grammar, engine::TokenTrie::create(tokenizer));
}

}  // namespace corral::cli
