// What constraints cost a token, with a vocabulary of Llama 4's size: the floor is a pass over the
// bits of a mask (add_masks).
#include <benchmark/benchmark.h>

#include <set>
#include <string>

#include "base/random.h"
#include "engine/constraint/constraint.h"
#include "engine/constraint/grammar_text.h"
#include "support/paths.h"
#include "text/tokenizer_files.h"

namespace corral::engine {
namespace {

constexpr const char* kJson = R"(
root   ::= object
object ::= "{" ws (pair ("," ws pair)*)? ws "}"
array  ::= "[" ws (value ("," ws value)*)? ws "]"
pair   ::= string ":" ws value
value  ::= object | array | string | number | "true" | "false" | "null"
string ::= "\"" ([^"\\\u0000-\u001F] | "\\" (["\\/bfnrt] | "u" [0-9a-fA-F]{4}))* "\""
number ::= "-"? ("0" | [1-9] [0-9]{0,15}) ("." [0-9]{1,15})? ([eE] [+\-]? [0-9]{1,2})?
ws     ::= (" " | "\n" " "{0,40})?
)";

/// Words of made-up letters, and all bytes: as many tokens as Llama 4 has.
std::shared_ptr<const text::Tokenizer> made_up_tokenizer() {
  text::TokenizerSpec spec;
  spec.pattern = R"(\s?\S+|\s+)";
  std::set<std::string> known;
  const auto add = [&](const std::string& token) {
    if (known.insert(token).second) spec.tokens.push_back(token);
  };
  for (int byte = 0; byte < 256; ++byte) add(std::string(1, static_cast<char>(byte)));
  const Philox random(1);
  for (uint64_t i = 0; spec.tokens.size() < 200'000; ++i) {
    const Philox letters(random.bits(i));
    std::string word = i % 2 == 0 ? " " : "";
    for (uint64_t n = 0; n < 3 + letters.below(7, 99); ++n) {
      word += "etaoinshrdlucm,\"}:0é"[letters.below(20, n)];
    }
    add(word);
  }
  spec.specials["<|eot|>"] = 200'008;
  return text::Tokenizer::create(spec);
}

std::shared_ptr<const TokenTrie> vocabulary() {
  static const auto trie = [] {
    const auto shared = test::shared_dir();
    return TokenTrie::create(
        shared ? text::load_tokenizer_files(*shared / "goldens/tokenizer/tokenizer.model")
               : made_up_tokenizer());
  }();
  return trie;
}

// Brings the matcher behind a text, token by token of one byte each.
void read(Matcher& matcher, std::string_view text) {
  for (const char c : text) matcher.accept(*vocabulary()->tokenizer().token_id({&c, 1}));
}

void make_vocabulary(benchmark::State& state) {
  const auto trie = vocabulary();
  const auto tokenizer = std::shared_ptr<const text::Tokenizer>(trie, &trie->tokenizer());
  for (auto _ : state) benchmark::DoNotOptimize(TokenTrie::create(tokenizer));
}
BENCHMARK(make_vocabulary)->Unit(benchmark::kMillisecond);

void add_masks(benchmark::State& state) {
  const auto tokens = static_cast<size_t>(vocabulary()->tokenizer().vocab_size());
  TokenMask a(tokens);
  const TokenMask b(tokens);
  for (auto _ : state) {
    a.add(b);
    benchmark::ClobberMemory();
  }
}
BENCHMARK(add_masks)->Unit(benchmark::kMicrosecond);

// The first mask of a kind of state, and one of the same kind elsewhere.
void mask_behind(benchmark::State& state, const char* text, const char* known) {
  int64_t tokens = 0;
  for (auto _ : state) {
    state.PauseTiming();
    Matcher matcher(std::make_shared<Constraint>(parse_grammar(kJson), vocabulary()));
    if (known != nullptr) {
      Matcher before(matcher);
      read(before, known);
      before.mask();
    }
    read(matcher, text);
    state.ResumeTiming();
    tokens = matcher.mask()->count();
  }
  state.counters["tokens"] = static_cast<double>(tokens);
}
BENCHMARK_CAPTURE(mask_behind, first_text, R"({"a)", nullptr)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(mask_behind, text_elsewhere, R"({"a": [{"b)", R"({"a)")
    ->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(mask_behind, first_value, R"({"a": )", nullptr)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(mask_behind, first_number, R"({"a": 12)", nullptr)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(mask_behind, first_space, "{\n ", nullptr)->Unit(benchmark::kMicrosecond);

// Whole answers: each token drawn from the mask, so that text, numbers and nesting mix. Every
// answer uses what those before found out.
void answers(benchmark::State& state) {
  const auto constraint = std::make_shared<Constraint>(parse_grammar(kJson), vocabulary());
  const Philox random(3);
  uint64_t drawn = 0;
  int64_t steps = 0;
  for (auto _ : state) {
    Matcher matcher(constraint);
    for (int i = 0; i < 200 && !matcher.must_end(); ++i, ++steps) {
      const MaskPtr mask = matcher.mask();
      state.PauseTiming();
      int32_t token = 0;
      do {
        token = static_cast<int32_t>(
            random.below(static_cast<uint64_t>(vocabulary()->tokenizer().vocab_size()), drawn++));
      } while (!mask->has(token));
      state.ResumeTiming();
      if (vocabulary()->tokenizer().is_special(token)) break;
      matcher.accept(token);
    }
  }
  state.counters["us_per_token"] = benchmark::Counter(
      static_cast<double>(steps) * 1e-6, benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}
BENCHMARK(answers)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace corral::engine
