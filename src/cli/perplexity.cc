#include <algorithm>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>

#include "autograd/tape.h"
#include "base/error.h"
#include "base/progress.h"
#include "cli/commands.h"
#include "cli/common.h"
#include "cli/divergence.h"
#include "data/document_reader.h"
#include "ops/cross_entropy/cross_entropy.h"
#include "ops/linear/linear.h"

namespace corral::cli {
namespace {

struct PerplexityOptions {
  std::string model;
  std::string reference;  // of --kl-against; empty: none
  std::filesystem::path file;
  int64_t context = 2048;
  int64_t max_tokens = 0;  // 0: all
  bool json = false;
  std::string precision = "f32";
  KvTypeOptions kv_types;
  LoadOptions load;
  MachineOptions machine;
};

struct Totals {
  int64_t documents = 0;
  int64_t tokens = 0;  // predicted
  int64_t bytes = 0;   // of text
  double nll = 0;      // nats
  Divergence divergence;

  double loss() const { return nll / static_cast<double>(tokens); }
  double bits_per_byte() const { return nll / std::log(2.0) / static_cast<double>(bytes); }
};

/// Positions whose logits are in memory at once.
constexpr int64_t kLogitRows = 64;

/// The distributions of `hidden_TD` and those of the reference after each token of the batch.
void compare(const model::TextModel& model, const Tensor& hidden_TD,
             const model::TextModel& reference, const kv::Batch& batch,
             const model::ForwardOptions& forward, Divergence& divergence) {
  const Tensor expected_TD = reference.hidden(batch, forward);
  const int64_t T = hidden_TD.dim(0);
  for (int64_t begin = 0; begin < T; begin += kLogitRows) {
    const int64_t end = std::min(T, begin + kLogitRows);
    divergence.add(
        ops::linear(expected_TD.rows(begin, end), reference.weights().readout, forward.precision),
        ops::linear(hidden_TD.rows(begin, end), model.weights().readout, forward.precision));
  }
}

/// Hidden states of a whole window: through a cache of its own when its types were asked for.
Tensor hidden_of(const model::TextModel& model, kv::Batch batch, model::ForwardOptions forward,
                 const KvTypeOptions& kv_types) {
  if (!kv_types.given()) return model.hidden(batch, forward);
  kv::KvCache cache(model.kv_layout(kv_types.types()), model.device());
  forward.cache = &cache;
  batch.segments.front().sequence = cache.create();
  return model.hidden(batch, forward);
}

// Adds one document, cut into windows of at most `context` tokens that each start afresh.
void score(const model::TextModel& model, const model::TextModel* reference,
           std::span<const int32_t> tokens, const PerplexityOptions& options, Totals& totals) {
  const autograd::NoGrad no_grad;
  model::ForwardOptions forward;
  forward.precision = parse_precision(options.precision);
  const auto total = static_cast<int64_t>(tokens.size());
  for (int64_t begin = 0; begin + 1 < total; begin += options.context) {
    const int64_t length = std::min(options.context, total - 1 - begin);
    const auto first = static_cast<size_t>(begin);
    const auto count = static_cast<size_t>(length);
    kv::Batch batch;
    batch.append(tokens.subspan(first, count), 0);
    const Tensor hidden_TD = hidden_of(model, batch, forward, options.kv_types);
    const auto nll_T = ops::token_nll(hidden_TD, model.weights().readout,
                                      tokens.subspan(first + 1, count), forward.precision);
    for (const float nll : nll_T) totals.nll += static_cast<double>(nll);
    totals.tokens += length;
    if (reference != nullptr) {
      compare(model, hidden_TD, *reference, batch, forward, totals.divergence);
    }
  }
}

void report(const Totals& totals, const PerplexityOptions& options, Io& io) {
  if (totals.tokens == 0) throw Error(str(options.file.string(), ": no text to score"));
  const bool compared = totals.divergence.positions() > 0;
  if (options.json) {
    nlohmann::ordered_json json{{"perplexity", std::exp(totals.loss())},
                                {"loss", totals.loss()},
                                {"bits_per_byte", totals.bits_per_byte()},
                                {"tokens", totals.tokens},
                                {"documents", totals.documents}};
    if (compared) {
      json["kl_mean"] = totals.divergence.mean();
      json["kl_99"] = totals.divergence.percentile(0.99);
      json["same_top"] = totals.divergence.same_top_share();
    }
    io.out << json.dump() << '\n';
    return;
  }
  io.out << "perplexity " << std::exp(totals.loss()) << ", loss " << totals.loss()
         << " nats a token, " << totals.bits_per_byte() << " bits a byte, over " << totals.tokens
         << " tokens of " << totals.documents << " documents\n";
  if (compared) {
    io.out << "divergence from " << options.reference << ": mean " << totals.divergence.mean()
           << " nats, 99 % of positions below " << totals.divergence.percentile(0.99)
           << ", the same top token at " << 100 * totals.divergence.same_top_share() << " %\n";
  }
}

/// Null unless --kl-against is given. Throws UsageError when the vocabularies differ in size.
std::unique_ptr<const model::LoadedModel> load_reference(const PerplexityOptions& options,
                                                         const model::LoadedModel& loaded) {
  if (options.reference.empty()) return nullptr;
  auto reference = std::make_unique<const model::LoadedModel>(model::load_model(
      resolve_model(options.reference), loaded.model.weights().embedding.device()));
  const int64_t own = loaded.model.config().vocab_size;
  const int64_t other = reference->model.config().vocab_size;
  if (own != other) {
    throw UsageError(str("--kl-against ", options.reference, ": a vocabulary of ", other,
                         " tokens, the model has ", own));
  }
  return reference;
}

void run_perplexity(const PerplexityOptions& options, Io& io) {
  const auto loaded =
      load_model(options.model, options.machine.device(options.model), options.load, {}, &io);
  const auto reference = load_reference(options, loaded);
  const auto tokenizer = loaded.need_tokenizer();
  data::DocumentReader reader({options.file});
  Progress progress(io.err, io.terminal, "scoring", static_cast<double>(options.max_tokens),
                    "tokens");
  Totals totals;
  while (const auto document = reader.next()) {
    const auto tokens = tokenizer->encode(document->text, {.bos = true, .eos = true});
    score(loaded.model, reference ? &reference->model : nullptr, tokens, options, totals);
    totals.bytes += static_cast<int64_t>(document->text.size());
    ++totals.documents;
    progress.update(static_cast<double>(totals.tokens));
    if (options.max_tokens > 0 && totals.tokens >= options.max_tokens) break;
  }
  progress.finish();
  report(totals, options, io);
}

}  // namespace

void add_perplexity_command(CLI::App& app, Io& io) {
  auto options = std::make_shared<PerplexityOptions>();
  CLI::App* command = app.add_subcommand("perplexity", "how well a model predicts a text");
  command->add_option("model", options->model, kModelHelp)->required();
  command->add_option("file", options->file, ".txt, .jsonl or .jsonl.zst (field \"text\")")
      ->required();
  command->add_option("--kl-against", options->reference,
                      "also compare the distributions with those of this model, which should be "
                      "the one that was quantized");
  command->add_option("--context", options->context, "longest window, each starting afresh")
      ->check(CLI::Range(int64_t{2}, int64_t{1} << 24))
      ->capture_default_str();
  command
      ->add_option("--max-tokens", options->max_tokens, "stop after the document that reaches this")
      ->check(CLI::NonNegativeNumber);
  command->add_flag("--json", options->json, "one JSON object");
  add_precision(*command, options->precision);
  options->kv_types.add_to(*command);
  options->load.add_to(*command);
  options->machine.add_to(*command);
  command->footer(
      "Examples:\n  corral perplexity llama-scout-mini stories.jsonl.zst --context 512\n"
      "  corral perplexity scout-q4.gguf wiki.txt --kl-against scout-bf16.gguf");
  command->callback([options, &io] { run_perplexity(*options, io); });
}

}  // namespace corral::cli
