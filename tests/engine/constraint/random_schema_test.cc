// Random schemas: whatever is drawn from their grammar is a document of theirs, and documents made
// without the grammar are in it. The judge (json_validator.h) knows nothing of grammars.

#include "engine/constraint/random_schema.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "engine/constraint/configurations.h"
#include "engine/constraint/constraint.h"
#include "engine/constraint/json_schema.h"
#include "engine/constraint/json_validator.h"

namespace corral::engine {
namespace {

using nlohmann::ordered_json;

constexpr int kSchemas = 300;

// The grammar of a schema; absent when it is refused: keywords that clash leave no text at all.
std::optional<Automaton> grammar_of(const ordered_json& schema) {
  try {
    return Automaton(schema_grammar(schema));
  } catch (const UsageError& error) {
    EXPECT_NE(std::string(error.what()).find("no text at all"), std::string::npos)
        << error.what() << " in " << schema;
    return std::nullopt;
  }
}

// Some text of the grammar, byte by byte. It hurries to its end once it is long; empty when that
// did not come.
std::string draw(const Automaton& automaton, fixture::RandomSchema& random) {
  constexpr std::string_view kClosing = "\"}]0";
  Configurations configurations(automaton);
  int32_t at = configurations.start();
  std::string text;
  for (int step = 0; step < 2000; ++step) {
    const bool long_enough = step > 40;
    if (configurations.can_end(at) &&
        (long_enough || !configurations.can_go_on(at) || random.below(4) == 0)) {
      return text;
    }
    std::string next;
    for (int byte = 0; byte < 256; ++byte) {
      if (configurations.step(at, static_cast<uint8_t>(byte)) != Configurations::kDead) {
        next += static_cast<char>(byte);
      }
    }
    EXPECT_FALSE(next.empty()) << "stuck behind " << text;
    if (next.empty()) return "";
    const size_t closing = next.find_first_of(kClosing);
    const bool hurry = long_enough && closing != next.npos && random.below(4) > 0;
    const char byte =
        hurry ? next[closing] : next[random.below(static_cast<uint32_t>(next.size()))];
    text += byte;
    at = configurations.step(at, static_cast<uint8_t>(byte));
  }
  return "";
}

TEST(RandomSchemas, GrammarsHaveDocumentsOfTheSchemaAlone) {
  int drawn = 0;
  int refused = 0;
  for (uint32_t seed = 0; seed < kSchemas; ++seed) {
    fixture::RandomSchema random(seed);
    const ordered_json schema = random.document();
    const auto automaton = grammar_of(schema);
    if (!automaton) {
      ++refused;
      continue;
    }
    const fixture::JsonValidator validator(schema);
    for (int i = 0; i < 4; ++i) {
      const std::string text = draw(*automaton, random);
      if (text.empty()) continue;
      ++drawn;
      const ordered_json value = ordered_json::parse(text, nullptr, false);
      ASSERT_FALSE(value.is_discarded()) << text << " of " << schema;
      ASSERT_TRUE(validator.valid(value)) << text << " of " << schema;
    }
  }
  EXPECT_GT(drawn, 2 * kSchemas);
  EXPECT_LT(refused, kSchemas / 10);
}

TEST(RandomSchemas, GrammarsHaveValidDocumentsCutAtEveryByteToo) {
  int followed = 0;
  for (uint32_t seed = 0; seed < kSchemas; ++seed) {
    fixture::RandomSchema random(seed);
    const ordered_json schema = random.document();
    const auto automaton = grammar_of(schema);
    if (!automaton) continue;
    const fixture::JsonValidator validator(schema);
    for (int i = 0; i < 4; ++i) {
      const ordered_json value = random.sample(schema, schema);
      if (!validator.valid(value)) continue;
      ++followed;
      const std::string text = value.dump();
      ASSERT_TRUE(follows(*automaton, text)) << text << " of " << schema;
      // Every beginning is alive, and where it may end it is a document itself.
      Configurations configurations(*automaton);
      int32_t at = configurations.start();
      for (size_t end = 0; end < text.size(); ++end) {
        if (configurations.can_end(at)) {
          const auto part = ordered_json::parse(text.substr(0, end), nullptr, false);
          ASSERT_TRUE(!part.is_discarded() && validator.valid(part)) << text << " cut at " << end;
        }
        at = configurations.step(at, static_cast<uint8_t>(text[end]));
        ASSERT_NE(at, Configurations::kDead) << text << " at " << end << " of " << schema;
      }
    }
  }
  EXPECT_GT(followed, 2 * kSchemas);
}

}  // namespace
}  // namespace corral::engine
