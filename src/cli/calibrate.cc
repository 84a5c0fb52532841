#include <algorithm>
#include <memory>

#include "autograd/tape.h"
#include "base/error.h"
#include "base/progress.h"
#include "cli/commands.h"
#include "cli/common.h"
#include "data/document_reader.h"
#include "model/importance.h"

namespace corral::cli {
namespace {

struct CalibrateOptions {
  std::string model;
  std::vector<std::string> files;
  std::filesystem::path out = "imatrix.gguf";
  int64_t context = 512;
  int64_t max_tokens = 0;  // 0: all
  std::string precision = "bf16";
  MachineOptions machine;
};

// One document, cut into windows of at most `context` tokens that each start afresh.
void observe(const model::TextModel& model, std::span<const int32_t> tokens,
             const CalibrateOptions& options, model::ImportanceCollector& collector) {
  const autograd::NoGrad no_grad;
  model::ForwardOptions forward;
  forward.precision = parse_precision(options.precision);
  forward.inputs = &collector;
  const auto total = static_cast<int64_t>(tokens.size());
  for (int64_t begin = 0; begin < total; begin += options.context) {
    const int64_t length = std::min(options.context, total - begin);
    kv::Batch batch;
    batch.append(tokens.subspan(static_cast<size_t>(begin), static_cast<size_t>(length)), 0);
    const Tensor hidden_TD = model.hidden(batch, forward);
    // The readout's own product would be for nothing.
    model::show_input(forward, {&model.weights().readout}, hidden_TD);
    collector.importance.tokens += length;
  }
}

void run_calibrate(const CalibrateOptions& options, Io& io) {
  const auto loaded = model::load_model(resolve_model(options.model), options.machine.device());
  const auto tokenizer = loaded.need_tokenizer();
  model::ImportanceCollector collector(loaded.model);
  for (const std::string& file : options.files) {
    collector.importance.datasets.push_back(std::filesystem::path(file).filename().string());
  }
  data::DocumentReader reader({options.files.begin(), options.files.end()});
  Progress progress(io.err, io.terminal, "observing", static_cast<double>(options.max_tokens),
                    "tokens");
  const model::Importance& importance = collector.importance;
  while (const auto document = reader.next()) {
    observe(loaded.model, tokenizer->encode(document->text, {.bos = true}), options, collector);
    progress.update(static_cast<double>(importance.tokens));
    if (options.max_tokens > 0 && importance.tokens >= options.max_tokens) break;
  }
  progress.finish();
  if (importance.tokens == 0) throw Error("calibrate: there is no text in these files");
  model::save_importance(options.out, importance);

  int64_t unseen = 0;
  for (const auto& [name, entry] : importance.entries) {
    unseen += std::count(entry.counts.begin(), entry.counts.end(), 0.0);
  }
  io.out << options.out.string() << ": importances from " << importance.tokens << " tokens";
  if (unseen > 0) io.out << "; " << unseen << " matrices of experts saw none and take the mean";
  io.out << '\n';
}

}  // namespace

void add_calibrate_command(CLI::App& app, Io& io) {
  auto options = std::make_shared<CalibrateOptions>();
  CLI::App* command = app.add_subcommand(
      "calibrate", "which columns of the weights matter for a text, for `convert --importance`");
  command->add_option("model", options->model, kModelHelp)->required();
  command
      ->add_option("--data", options->files,
                   ".txt, .jsonl or .jsonl.zst (field \"text\"), of the kind the model is for")
      ->required();
  command->add_option("--out", options->out, "the file to write, in the form of llama-imatrix")
      ->capture_default_str();
  command->add_option("--context", options->context, "longest window, each starting afresh")
      ->check(CLI::Range(int64_t{2}, int64_t{1} << 24))
      ->capture_default_str();
  command
      ->add_option("--max-tokens", options->max_tokens, "stop after the document that reaches this")
      ->check(CLI::NonNegativeNumber);
  add_precision(*command, options->precision);
  options->machine.add_to(*command);
  command->footer(
      "Example:\n"
      "  corral calibrate scout-bf16.gguf --data talk.jsonl --out scout.imatrix.gguf\n"
      "  corral convert scout-bf16.gguf scout-q3.gguf --type q3_k --importance scout.imatrix.gguf");
  command->callback([options, &io] { run_calibrate(*options, io); });
}

}  // namespace corral::cli
