#include <memory>

#include "base/error.h"
#include "cli/commands.h"
#include "cli/common.h"
#include "model/gguf_checkpoint.h"
#include "model/hf_checkpoint.h"
#include "model/initialise.h"
#include "model/presets.h"
#include "text/tokenizer_files.h"

namespace corral::cli {
namespace {

struct InitOptions {
  std::string preset;
  std::filesystem::path out;
  int64_t layers = 0;
  int64_t vocab_size = 0;
  std::string type;
  std::filesystem::path tokenizer;
  uint64_t seed = 0;
  MachineOptions machine;
};

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

void run_init(const InitOptions& options) {
  const DevicePtr device = options.machine.device();
  std::shared_ptr<const text::Tokenizer> tokenizer;
  if (!options.tokenizer.empty()) tokenizer = text::load_tokenizer_files(options.tokenizer);
  const model::Config config = shape(options, tokenizer.get());
  size_t next = 0;
  const auto tensors = model::initialise(config, options.seed, device);
  const auto weights =
      model::arrange_weights(config, [&](const model::ParameterInfo&) { return tensors[next++]; });
  if (options.out.extension() == ".gguf") {
    model::GgufOptions gguf;
    gguf.mix = model::TypeMix::parse(options.type.empty() ? "q8_0" : options.type);
    gguf.dtype = gguf.mix->routed;
    gguf.name = "random " + options.preset;
    model::save_gguf(options.out, config, weights, tokenizer.get(), gguf);
    return;
  }
  model::save_hf(options.out, config, weights,
                 parse_dtype(options.type.empty() ? "bf16" : options.type));
  if (tokenizer) text::save_tokenizer(*tokenizer, options.out);
}

}  // namespace

void add_init_command(CLI::App& app, Io&) {
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
  command->add_option("--type", options->type,
                      "f32, f16, bf16, or (GGUF) a type of `corral convert`");
  command->add_option("--tokenizer", options->tokenizer,
                      "tokenizer files to put in; sets the vocabulary");
  command->add_option("--seed", options->seed, "of the weights")->capture_default_str();
  options->machine.add_to(*command);
  command->footer("Example:\n  corral init tiny tiny.gguf --type f32 --seed 1");
  command->callback([options] { run_init(*options); });
}

}  // namespace corral::cli
