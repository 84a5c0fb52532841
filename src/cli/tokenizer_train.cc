#include <memory>

#include "base/error.h"
#include "base/progress.h"
#include "cli/commands.h"
#include "data/document_reader.h"
#include "text/bpe_trainer.h"
#include "text/tokenizer_files.h"

namespace corral::cli {
namespace {

struct TokenizerTrainOptions {
  std::vector<std::string> files;
  std::string out;
  int64_t vocab_size = 16384;
};

struct Corpus {
  int64_t documents = 0;
  int64_t bytes = 0;
};

/// What of a document is text: the messages of a chat one after the other.
std::string text_of(data::Document document) {
  if (!document.is_chat()) return std::move(document.text);
  std::string text;
  for (const data::Message& message : document.messages) {
    if (!text.empty()) text += "\n\n";
    text += message.content;
  }
  return text;
}

/// Draws reading and merging one after the other.
class TrainingProgress {
 public:
  explicit TrainingProgress(Io& io) : io_(io) {}

  void update(const text::TrainTokenizerProgress& state) {
    const bool reading = state.stage == text::TrainTokenizerProgress::Stage::kReading;
    if (!line_ || reading != reading_) {
      line_.reset();
      line_ =
          std::make_unique<Progress>(io_.err, io_.terminal, reading ? "reading" : "merging",
                                     static_cast<double>(state.total), reading ? "MB" : "tokens");
      reading_ = reading;
    }
    line_->update(static_cast<double>(state.done) / (reading ? 1e6 : 1.0));
  }

 private:
  Io& io_;
  std::unique_ptr<Progress> line_;
  bool reading_ = false;
};

std::filesystem::path make_folder(const std::string& out) {
  const std::filesystem::path folder = out;
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (!std::filesystem::is_directory(folder)) {
    throw IoError(str(out, ": cannot be made a folder",
                      error ? str(" (", error.message(), ")") : " because it is a file"));
  }
  return folder;
}

void train(const TokenizerTrainOptions& options, Io& io) {
  text::TrainTokenizerOptions training;
  training.vocab_size = options.vocab_size;
  std::vector<std::filesystem::path> files(options.files.begin(), options.files.end());
  data::DocumentReader reader(std::move(files));
  const std::filesystem::path folder = make_folder(options.out);

  Corpus corpus;
  const auto next = [&]() -> std::optional<std::string> {
    std::optional<data::Document> document = reader.next();
    if (!document) return std::nullopt;
    std::string text = text_of(std::move(*document));
    ++corpus.documents;
    corpus.bytes += static_cast<int64_t>(text.size());
    return text;
  };
  text::TokenizerSpec spec;
  {
    TrainingProgress progress(io);
    spec = text::train_tokenizer(
        next, training, [&](const text::TrainTokenizerProgress& state) { progress.update(state); });
  }
  const auto tokenizer = text::Tokenizer::create(spec);
  text::save_tokenizer(*tokenizer, folder);
  io.out << options.out << ": " << tokenizer->vocab_size() << " tokens (256 bytes, "
         << spec.tokens.size() - 256 << " learned, " << spec.specials.size() << " special) from "
         << static_cast<double>(corpus.bytes / 100'000) / 10 << " MB in " << corpus.documents
         << " documents\n";
  if (tokenizer->vocab_size() < options.vocab_size) {
    io.err
        << "corral: the text has no more pairs that occur twice, so the vocabulary is smaller than "
        << options.vocab_size << '\n';
  }
}

}  // namespace

void add_tokenizer_command(CLI::App& app, Io& io) {
  CLI::App* group = app.add_subcommand("tokenizer", "making tokenizers");
  group->require_subcommand(1);
  auto options = std::make_shared<TokenizerTrainOptions>();
  CLI::App* command =
      group->add_subcommand("train", "learns a byte-level BPE vocabulary from text");
  command
      ->add_option("files", options->files,
                   "JSONL with \"text\" or \"messages\", or plain text: .jsonl, .txt, also as .zst")
      ->required();
  command->add_option("--out", options->out, "folder for tokenizer.json, tokenizer.model, ...")
      ->required();
  command
      ->add_option("--vocab", options->vocab_size,
                   "tokens in all: 256 bytes, learned ones, Llama 4's special ones at the end")
      ->check(CLI::Range(int64_t{512}, int64_t{1} << 22))
      ->capture_default_str();
  command->footer(
      "The same files and options give the same tokenizer.\n"
      "Example:\n"
      "  corral tokenizer train --vocab 4096 --out models/tokenizer-4k stories.jsonl.zst book.txt");
  command->callback([options, &io] { train(*options, io); });
}

}  // namespace corral::cli
