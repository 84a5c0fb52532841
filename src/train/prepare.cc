#include "train/prepare.h"

#include <algorithm>
#include <optional>

#include "base/encoding.h"
#include "base/error.h"
#include "base/file.h"
#include "base/progress.h"
#include "data/document_reader.h"
#include "io/safetensors.h"
#include "model/hf_checkpoint.h"
#include "model/initialise.h"
#include "model/presets.h"
#include "text/bpe_trainer.h"
#include "text/tokenizer_files.h"

namespace corral::train {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kMaxConfigBytes = int64_t{16} << 20;
constexpr int64_t kShortestInChunks = 4;

std::string hash_text(const std::string& text) {
  return to_hex(data::hash_bytes(text.data(), text.size()));
}

std::shared_ptr<const text::Tokenizer> learn_tokenizer(const Recipe& recipe, const RunLog& log) {
  std::vector<fs::path> files;
  for (const DataRecipe& source : recipe.data) {
    const auto more = data_files(recipe, source);
    files.insert(files.end(), more.begin(), more.end());
  }
  log.note(str("learning a vocabulary of ", recipe.tokenizer.vocab_size, " tokens"));
  data::DocumentReader reader(std::move(files));
  const auto next = [&]() -> std::optional<std::string> {
    std::optional<data::Document> document = reader.next();
    if (!document) return std::nullopt;
    std::string text = std::move(document->text);
    for (const data::Message& message : document->messages) text += message.content + "\n\n";
    return text;
  };
  text::TrainTokenizerOptions options;
  options.vocab_size = recipe.tokenizer.vocab_size;
  return text::Tokenizer::create(text::train_tokenizer(next, options));
}

std::shared_ptr<const text::Tokenizer> find_tokenizer(const Recipe& recipe, const fs::path& folder,
                                                      const RunLog& log) {
  if (!recipe.tokenizer.path.empty()) {
    return text::load_tokenizer_files(recipe_path(recipe, recipe.tokenizer.path));
  }
  const fs::path kept = folder / "tokenizer";
  if (fs::exists(kept)) return text::load_tokenizer_files(kept);
  const auto tokenizer = learn_tokenizer(recipe, log);
  fs::path partial = kept;
  partial += ".partial";
  std::error_code error;
  fs::remove_all(partial, error);
  fs::create_directories(partial, error);
  text::save_tokenizer(*tokenizer, partial);
  fs::rename(partial, kept, error);
  if (error) throw IoError(str("cannot write ", kept.string(), ": ", error.message()));
  // As a resumed run will see it: files list the merges, which the learned one does without.
  return text::load_tokenizer_files(kept);
}

model::Config find_config(const Recipe& recipe, const text::Tokenizer& tokenizer) {
  model::Config config;
  if (!recipe.model.preset.empty()) {
    config = model::find_preset(recipe.model.preset).config;
    config.vocab_size = tokenizer.vocab_size();
  } else if (!recipe.model.config.empty()) {
    const fs::path path = recipe_path(recipe, recipe.model.config);
    config = model::parse_config(read_file(path, kMaxConfigBytes), path.string());
  } else {
    config = model::read_hf_config(recipe_path(recipe, recipe.model.init_from));
  }
  if (tokenizer.vocab_size() > config.vocab_size) {
    throw UsageError(str("the tokenizer has ", tokenizer.vocab_size(), " tokens, the model only ",
                         config.vocab_size));
  }
  if (tokenizer.bos_id()) config.bos_token_id = *tokenizer.bos_id();
  config.eos_token_ids.assign(tokenizer.stop_ids().begin(), tokenizer.stop_ids().end());
  return config;
}

std::shared_ptr<const data::TokenFile> tokens_of(
    const Recipe& recipe, const DataRecipe& source,
    const std::shared_ptr<const text::Tokenizer>& tokenizer, const fs::path& folder,
    const DevicePtr& device, const RunLog& log) {
  std::optional<Progress> progress;
  if (log.out != nullptr) {
    progress.emplace(*log.out, log.terminal, "tokenizing " + source.name, 0.0, "Mtokens");
  }
  return data::tokenize_corpus({data_files(recipe, source), source.supervise}, tokenizer,
                               folder / "tokens", device->threads(), [&](int64_t tokens) {
                                 if (progress) progress->update(static_cast<double>(tokens) / 1e6);
                               });
}

std::string name_of(const DataRecipe& source) {
  if (!source.name.empty()) return source.name;
  const std::string name = fs::path(source.files.front()).filename().string();
  return name.substr(0, name.find('.'));
}

}  // namespace

void RunLog::note(const std::string& line) const {
  if (out != nullptr) *out << line << std::endl;
}

PreparedRun prepare(const Recipe& recipe, const fs::path& run_folder, const DevicePtr& device,
                    const RunLog& log) {
  PreparedRun run;
  run.tokenizer = find_tokenizer(recipe, run_folder, log);
  run.config = find_config(recipe, *run.tokenizer);
  const int64_t chunk = run.config.attention_chunk_size.value_or(0);
  if (recipe.batch.sequence_tokens < kShortestInChunks * chunk) {
    log.note(str("note: sequences of ", recipe.batch.sequence_tokens, " tokens are shorter than ",
                 kShortestInChunks, " attention chunks of ", chunk,
                 ", so the model hardly learns to look beyond a chunk"));
  }

  std::string data_identity;
  std::vector<data::MixtureSource> sources;
  std::vector<double> weights;
  std::vector<int64_t> sizes;
  for (const DataRecipe& source : recipe.data) {
    const auto tokens = tokens_of(recipe, source, run.tokenizer, run_folder, device, log);
    sources.push_back({name_of(source), tokens, source.repeat});
    weights.push_back(source.weight);
    sizes.push_back(tokens->tokens());
  }
  if (weights.front() > 0) {
    const std::vector<double> repeats = data::repeats_for_weights(weights, sizes);
    for (size_t i = 0; i < sources.size(); ++i) sources[i].repeat = repeats[i];
  }
  for (const data::MixtureSource& source : sources) {
    data_identity += str(to_hex(source.tokens->content_hash()), " ", source.repeat, "\n");
    log.note(str("  ", source.name, ": ", source.tokens->documents(), " documents, ",
                 source.tokens->tokens(), " tokens, ", source.repeat, " times"));
  }
  run.mixture = std::make_shared<data::Mixture>(std::move(sources), recipe.seed);

  const data::PackOptions packing{recipe.batch.sequence_tokens, recipe.batch.restart_positions};
  for (const DataRecipe& source : recipe.validation.data) {
    const auto tokens = tokens_of(recipe, source, run.tokenizer, run_folder, device, log);
    run.validation.push_back(
        {name_of(source), data::pack_in_order(*tokens, packing, recipe.batch.micro_batch_tokens,
                                              recipe.validation.tokens)});
  }
  run.identity = {
      {"seed", std::to_string(recipe.seed)},
      {"tokenizer", to_hex(data::fingerprint(*run.tokenizer))},
      {"model", hash_text(model::config_json(run.config))},
      {"data", hash_text(data_identity)},
      {"batch", hash_text(str(recipe.batch.tokens, " ", recipe.batch.micro_batch_tokens, " ",
                              recipe.batch.sequence_tokens, " ", recipe.batch.restart_positions))}};
  return run;
}

model::TextModel make_model(const Recipe& recipe, const model::Config& config,
                            const fs::path& checkpoint, const DevicePtr& device) {
  fs::path from = checkpoint;
  if (from.empty() && !recipe.model.init_from.empty()) {
    from = recipe_path(recipe, recipe.model.init_from);
  }
  return model::TextModel::trainable(
      config, from.empty() ? model::initialise(config, recipe.seed, device)
                           : model::hf_parameters(*io::open_sharded(from), config, device));
}

}  // namespace corral::train
