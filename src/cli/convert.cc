#include <memory>

#include "base/error.h"
#include "cli/commands.h"
#include "cli/common.h"
#include "cli/output_options.h"
#include "model/importance.h"
#include "model/streamed_model.h"
#include "model/vision/vision_checkpoint.h"
#include "text/tokenizer_files.h"

namespace corral::cli {
namespace {

struct ConvertOptions {
  std::string in;
  std::filesystem::path out;
  std::string type;
  std::string name;
  std::string mmproj;
  std::string quantize;
  std::filesystem::path importance;
  MachineOptions machine;
};

// How much is written between two times that the source's memory is given back.
constexpr int64_t kForgetBytes = int64_t{256} << 20;

// Draws the progress and keeps the part of the source that is mapped into memory small.
model::ExportProgress watch(const model::StreamedModel& model, Io& io) {
  return [&model, draw = writing_progress(io), forgotten = int64_t{0}](int64_t done,
                                                                       int64_t total) mutable {
    draw(done, total);
    if (done - forgotten < kForgetBytes) return;
    model.forget_pages();
    forgotten = done;
  };
}

void write_gguf(const ConvertOptions& options, const model::StreamedModel& model, Io& io) {
  model::GgufOptions gguf = gguf_options(options.type, io);
  gguf.name = options.name.empty() ? model.name() : options.name;
  gguf.progress = watch(model, io);
  model::Importance importance;
  if (!options.importance.empty()) {
    importance = model::load_importance(options.importance);
    gguf.importance = &importance;
  }
  model::save_gguf(options.out, model.config(), model.gguf(), model.tokenizer(), gguf);
  if (!model.vision()) return;
  // llama.cpp keeps the image tower in a file of its own; sight suffers from coarse blocks.
  const bool exact = gguf.dtype == DType::kF32 || gguf.dtype == DType::kF16;
  const auto path = options.out.parent_path() / str("mmproj-", options.out.filename().string());
  model::save_mmproj(path, *model.vision(), model.tower(), exact ? gguf.dtype : DType::kBF16,
                     gguf.name);
  io.err << "corral: the image tower is in " << path.string() << '\n';
}

void write_hf(const ConvertOptions& options, const model::StreamedModel& model, Io& io) {
  model::HfOptions hf = hf_options(options.quantize.empty() ? options.type : options.quantize);
  hf.progress = watch(model, io);
  model::save_hf(options.out, model.config(), model.hf(hf.experts), hf);
  if (model.tokenizer() != nullptr) text::save_tokenizer(*model.tokenizer(), options.out);
}

void run_convert(const ConvertOptions& options, Io& io) {
  const auto path = resolve_model(options.in);
  std::error_code error;
  if (std::filesystem::equivalent(path, options.out, error)) {
    throw UsageError(str("convert: ", options.out.string(), " is the model itself: name another"));
  }
  if (!options.quantize.empty() && (!options.type.empty() || names_gguf(options.out))) {
    throw UsageError("convert: --quantize writes a folder, and goes without --type");
  }
  if (!options.importance.empty() && !names_gguf(options.out)) {
    throw UsageError("convert: --importance is for the block types of GGUF files");
  }
  const model::StreamedModel model(path, options.machine.device(), options.mmproj);
  if (!model.vision() && !model.config().multimodal_json.empty()) {
    io.err << "corral: there is no image tower: only the text model is written\n";
  }
  if (names_gguf(options.out)) {
    write_gguf(options, model, io);
  } else {
    write_hf(options, model, io);
  }
}

}  // namespace

void add_convert_command(CLI::App& app, Io& io) {
  auto options = std::make_shared<ConvertOptions>();
  CLI::App* command =
      app.add_subcommand("convert", "between Hugging Face and GGUF form, and other number types");
  command->add_option("in", options->in, kModelHelp)->required();
  command
      ->add_option("out", options->out, "a name ending in .gguf, or a folder for Hugging Face form")
      ->required();
  command->add_option("--type", options->type, kTypeHelp);
  command->add_option("--mmproj", options->mmproj,
                      "image projector file of a GGUF model (default: the one beside it)");
  command
      ->add_option("--quantize", options->quantize, "int4 or fp8: the same as --type, for a folder")
      ->check(CLI::IsMember({"int4", "fp8"}));
  command->add_option("--importance", options->importance,
                      "a file of `corral calibrate` or llama-imatrix: which columns block types "
                      "should keep best");
  command->add_option("--name", options->name, "the model's name in a GGUF file");
  options->machine.add_to(*command);
  command->footer(
      "Examples:\n"
      "  corral convert runs/mini/latest mini.gguf --type q8_0\n"
      "  corral convert mini.gguf mini-hf --type f32\n"
      "  corral convert Llama-4-Scout-17B-16E scout-int4 --type int4");
  command->callback([options, &io] { run_convert(*options, io); });
}

}  // namespace corral::cli
