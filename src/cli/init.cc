#include <memory>

#include "base/error.h"
#include "cli/commands.h"
#include "cli/common.h"
#include "cli/output_options.h"
#include "model/presets.h"
#include "model/random_weights.h"
#include "text/letter_tokenizer.h"
#include "text/tokenizer_files.h"

namespace corral::cli {
namespace {

struct InitOptions {
  std::string preset;
  std::filesystem::path out;
  int64_t layers = 0;
  int64_t vocab_size = 0;
  std::string type;
  std::string tokenizer;  // empty: made for the vocabulary
  uint64_t seed = 0;
  MachineOptions machine;
};

std::shared_ptr<const text::Tokenizer> choose_tokenizer(const InitOptions& options,
                                                        int64_t preset_vocab_size) {
  if (options.tokenizer == "none") return nullptr;
  const int64_t wanted = options.vocab_size > 0 ? options.vocab_size : preset_vocab_size;
  if (options.tokenizer.empty()) {
    if (wanted < text::kLeastLetterVocabulary) {
      throw UsageError(str("--vocab-size ", wanted, ": a tokenizer has at least ",
                           text::kLeastLetterVocabulary, " tokens; --tokenizer none goes without"));
    }
    return text::letter_tokenizer(wanted);
  }
  auto tokenizer = text::load_tokenizer_files(options.tokenizer);
  if (options.vocab_size > 0 && options.vocab_size < tokenizer->vocab_size()) {
    throw UsageError(str("--vocab-size ", options.vocab_size, ": the tokenizer has ",
                         tokenizer->vocab_size(), " tokens"));
  }
  return tokenizer;
}

model::Config shape(const InitOptions& options, const text::Tokenizer* tokenizer) {
  model::Config config = model::find_preset(options.preset).config;
  if (options.layers > 0) {
    config.num_hidden_layers = options.layers;
    config.moe_layers.clear();
    config.no_rope_layers.clear();
  }
  if (tokenizer != nullptr) {
    config.vocab_size = tokenizer->vocab_size();
    config.bos_token_id = tokenizer->bos_id();
    config.eos_token_ids.assign(tokenizer->stop_ids().begin(), tokenizer->stop_ids().end());
  }
  if (options.vocab_size > 0) config.vocab_size = options.vocab_size;
  config.normalise();
  return config;
}

void run_init(const InitOptions& options, Io& io) {
  const int64_t preset_vocab_size = model::find_preset(options.preset).config.vocab_size;
  const auto tokenizer = choose_tokenizer(options, preset_vocab_size);
  const model::Config config = shape(options, tokenizer.get());
  const model::RandomWeights weights(config, options.seed, options.machine.device());
  if (names_gguf(options.out)) {
    model::GgufOptions gguf = gguf_options(options.type, io);
    gguf.name = "random " + options.preset;
    model::save_gguf(options.out, config, weights.gguf(*gguf.mix), tokenizer.get(), gguf);
    return;
  }
  model::HfOptions hf = hf_options(options.type);
  hf.progress = writing_progress(io);
  model::save_hf(options.out, config, weights.hf(hf.dtype), hf);
  if (tokenizer) text::save_tokenizer(*tokenizer, options.out);
}

}  // namespace

void add_init_command(CLI::App& app, Io& io) {
  auto options = std::make_shared<InitOptions>();
  CLI::App* command = app.add_subcommand("init", "a model of a preset's shape with random weights");
  command->add_option("preset", options->preset, "scout, maverick, behemoth, scout-mini, ...")
      ->required();
  command
      ->add_option("out", options->out, "a name ending in .gguf, or a folder for Hugging Face form")
      ->required();
  command->add_option("--layers", options->layers, "this many layers instead of the preset's")
      ->check(CLI::Range(int64_t{1}, int64_t{4096}));
  command
      ->add_option("--vocab-size", options->vocab_size, "this vocabulary instead of the preset's")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 24));
  command->add_option("--type", options->type, kTypeHelp);
  command->add_option(
      "--tokenizer", options->tokenizer,
      "tokenizer files to put in, which set the vocabulary, or `none` (default: one "
      "of bytes and strings of letters, with Llama 4's special tokens)");
  command->add_option("--seed", options->seed, "of the weights")->capture_default_str();
  options->machine.add_to(*command);
  command->footer(
      "Examples:\n"
      "  corral init tiny tiny.gguf --type f32 --seed 1\n"
      "  corral init scout scout4.gguf --layers 4 --type q4_0");
  command->callback([options, &io] { run_init(*options, io); });
}

}  // namespace corral::cli
