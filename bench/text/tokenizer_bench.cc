// Encoding speed on one core: ordinary English, and a megabyte of texts made to be slow. The floor
// is a pass over the text that finds the pieces (split_english).
#include <benchmark/benchmark.h>

#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "base/random.h"
#include "support/paths.h"
#include "text/bpe_trainer.h"
#include "text/splitter.h"
#include "text/tokenizer_files.h"

namespace corral {
namespace {

constexpr size_t kEnglishBytes = 4'000'000;

/// Sentences of made-up words whose frequencies fall off as in a language.
std::string made_up_english() {
  const Philox random(1);
  std::string text;
  for (uint64_t i = 0; text.size() < kEnglishBytes; ++i) {
    const auto rank = static_cast<uint64_t>(1.0 / (random.uniform(i) + 1e-5));
    const Philox word(rank);
    for (uint64_t letter = 0; letter < 2 + rank % 7; ++letter) {
      text += "etaoinshrdlu"[word.below(12, letter)];
    }
    text += i % 11 == 10 ? ". " : " ";
  }
  return text;
}

/// Children's books where the corpus and the zstd program are at hand.
std::string english() {
  const auto shared = test::shared_dir();
  if (!shared) return made_up_english();
  const std::string command =
      "zstd -dcq '" + (*shared / "data/text/childrens_books.train.jsonl.zst").string() + "'";
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(popen(command.c_str(), "r"), pclose);
  std::string lines;
  std::vector<char> buffer(1 << 16);
  while (pipe && lines.size() < kEnglishBytes) {
    const size_t n = fread(buffer.data(), 1, buffer.size(), pipe.get());
    if (n == 0) break;
    lines.append(buffer.data(), n);
  }
  std::string text;
  for (size_t at = 0, end = 0; (end = lines.find('\n', at)) != lines.npos; at = end + 1) {
    text += nlohmann::json::parse(lines.substr(at, end - at))["text"].get<std::string>() + "\n\n";
  }
  return text.empty() ? made_up_english() : text;
}

const text::Tokenizer& tokenizer() {
  static const auto instance = [] {
    if (const auto shared = test::shared_dir()) {
      return text::load_tokenizer_files(*shared / "goldens/tokenizer/tokenizer.model");
    }
    text::TrainTokenizerOptions options;
    bool given = false;
    const auto next = [&given]() -> std::optional<std::string> {
      if (given) return std::nullopt;
      given = true;
      return made_up_english();
    };
    return text::Tokenizer::create(text::train_tokenizer(next, options));
  }();
  return *instance;
}

void encode(benchmark::State& state, const std::string& text) {
  const text::Tokenizer& encoder = tokenizer();
  std::vector<text::TokenId> ids;
  for (auto _ : state) {
    ids.clear();
    encoder.encode_to(text, ids);
    benchmark::DoNotOptimize(ids.data());
  }
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(text.size()));
  state.counters["bytes_a_token"] =
      static_cast<double>(text.size()) / static_cast<double>(ids.size());
}

void split_english(benchmark::State& state) {
  const std::string text = english();
  const auto splitter = text::make_splitter(std::string(text::kLlama4Pattern));
  for (auto _ : state) {
    int64_t pieces = 0;
    for (size_t at = 0; at < text.size(); at = splitter->piece_end(text, at)) ++pieces;
    benchmark::DoNotOptimize(pieces);
  }
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(text.size()));
}
BENCHMARK(split_english)->Unit(benchmark::kMillisecond);

void encode_english(benchmark::State& state) { encode(state, english()); }
BENCHMARK(encode_english)->Unit(benchmark::kMillisecond);

void encode_one_letter(benchmark::State& state) { encode(state, std::string(1'000'000, 'a')); }
BENCHMARK(encode_one_letter)->Unit(benchmark::kMillisecond);

void encode_spaces(benchmark::State& state) { encode(state, std::string(1'000'000, ' ')); }
BENCHMARK(encode_spaces)->Unit(benchmark::kMillisecond);

void encode_emoji(benchmark::State& state) {
  std::string text;
  while (text.size() < 1'000'000) text += "\xF0\x9F\x99\x82";
  encode(state, text);
}
BENCHMARK(encode_emoji)->Unit(benchmark::kMillisecond);

void train_16k(benchmark::State& state) {
  const std::string text = english();
  for (auto _ : state) {
    bool given = false;
    const auto next = [&]() -> std::optional<std::string> {
      if (given) return std::nullopt;
      given = true;
      return text;
    };
    benchmark::DoNotOptimize(text::train_tokenizer(next, {}).tokens.size());
  }
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(text.size()));
}
BENCHMARK(train_16k)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace corral
