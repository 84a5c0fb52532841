#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/json.h"
#include "engine/constraint/configurations.h"
#include "engine/constraint/grammar_text.h"
#include "engine/constraint/json_schema.h"

namespace {

using corral::engine::Automaton;
using corral::engine::Configurations;

corral::engine::Grammar read(char kind, std::string_view text) {
  if (kind == 'r') return corral::engine::regex_grammar(text);
  if (kind == 'g') return corral::engine::parse_grammar(text);
  return corral::engine::schema_grammar(corral::engine::parse_schema(text));
}

// Some text of the grammar, as far as it gets in so many bytes, byte by byte of those that may
// come. A text never gets stuck, and one that follows a schema is JSON.
void follow(const Automaton& automaton, uint64_t random, bool is_json) {
  Configurations configurations(automaton);
  int32_t at = configurations.start();
  std::string text;
  for (int step = 0; step < 200; ++step) {
    if (configurations.can_end(at) && is_json) corral::parse_json(text, "text", 300);
    if (!configurations.can_go_on(at)) {
      if (!configurations.can_end(at)) __builtin_trap();
      return;
    }
    random = random * 6364136223846793005u + 1442695040888963407u;
    const auto first = static_cast<uint32_t>(random >> 56);
    int32_t next = Configurations::kDead;
    for (uint32_t i = 0; i < 256 && next == Configurations::kDead; ++i) {
      next = configurations.step(at, static_cast<uint8_t>(first + i));
      if (next != Configurations::kDead) text += static_cast<char>(first + i);
    }
    if (next == Configurations::kDead) __builtin_trap();
    at = next;
  }
}

}  // namespace

// A letter, r for a regular expression, g for a grammar, anything else for a JSON schema, and the
// text: UsageError, or a grammar that texts can follow. Error: too many ways to read a text.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const auto kind = static_cast<char>(data[0]);
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  const bool is_json = kind != 'r' && kind != 'g';
  try {
    const Automaton automaton(read(kind, text));
    for (uint64_t seed = 0; seed < 4; ++seed) follow(automaton, seed * 77 + size, is_json);
  } catch (const corral::UsageError&) {
  } catch (const corral::CorruptFile& error) {
    // Members that no schema names may come twice; else what follows a schema is JSON.
    if (std::string_view(error.what()).find("occurs twice") == std::string_view::npos) {
      __builtin_trap();
    }
  } catch (const corral::Error& error) {
    if (std::string_view(error.what()).find("ambiguous") == std::string_view::npos) {
      __builtin_trap();
    }
  }
  return 0;
}
