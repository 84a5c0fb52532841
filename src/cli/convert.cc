#include <memory>

#include "base/error.h"
#include "base/progress.h"
#include "cli/commands.h"
#include "cli/common.h"
#include "model/coded_checkpoint.h"
#include "model/gguf_checkpoint.h"
#include "model/hf_checkpoint.h"
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
  MachineOptions machine;
};

// With the description of the image tower, which a GGUF text model may lack.
model::Config config_of(const model::LoadedModel& loaded) {
  model::Config config = loaded.model.config();
  if (loaded.vision) model::set_vision_config(config, loaded.vision->config());
  return config;
}

void write_gguf(const ConvertOptions& options, const model::LoadedModel& loaded, Io& io) {
  Progress progress(io.err, io.terminal, "writing", 1, "MB");
  model::GgufOptions gguf;
  gguf.mix = model::TypeMix::parse(options.type.empty() ? "q8_0" : options.type);
  gguf.dtype = gguf.mix->routed;
  gguf.note = [&io](const std::string& line) { io.err << "corral: " << line << '\n'; };
  gguf.name = options.name.empty() ? loaded.name : options.name;
  gguf.progress = [&](int64_t done, int64_t total) {
    progress.set_total(static_cast<double>(total) / 1e6);
    progress.update(static_cast<double>(done) / 1e6);
  };
  model::save_gguf(options.out, config_of(loaded), loaded.model.weights(), loaded.tokenizer.get(),
                   gguf);
  if (!loaded.vision) return;
  // llama.cpp keeps the image tower in a file of its own; sight suffers from coarse blocks.
  const bool exact = gguf.dtype == DType::kF32 || gguf.dtype == DType::kF16;
  const auto path = options.out.parent_path() / str("mmproj-", options.out.filename().string());
  model::save_mmproj(path, loaded.vision->config(), loaded.vision->weights(),
                     exact ? gguf.dtype : DType::kBF16, gguf.name);
  io.err << "corral: the image tower is in " << path.string() << '\n';
}

void write_hf(const ConvertOptions& options, const model::LoadedModel& loaded) {
  if (!options.quantize.empty()) {
    model::save_int4_hf(options.out, config_of(loaded), loaded.model.weights(), int64_t{5} << 30,
                        loaded.vision.get());
    if (loaded.tokenizer) text::save_tokenizer(*loaded.tokenizer, options.out);
    return;
  }
  const DType dtype = parse_dtype(options.type.empty() ? "bf16" : options.type);
  model::save_hf(options.out, config_of(loaded), loaded.model.weights(), dtype, int64_t{5} << 30,
                 loaded.vision.get());
  if (loaded.tokenizer) text::save_tokenizer(*loaded.tokenizer, options.out);
}

void run_convert(const ConvertOptions& options, Io& io) {
  const auto path = resolve_model(options.in);
  std::error_code error;
  if (std::filesystem::equivalent(path, options.out, error)) {
    throw UsageError(str("convert: ", options.out.string(), " is the model itself: name another"));
  }
  if (!options.quantize.empty() && (!options.type.empty() || options.out.extension() == ".gguf")) {
    throw UsageError("convert: --quantize int4 writes a folder, and goes without --type");
  }
  const auto loaded = model::load_model(path, options.machine.device(), options.mmproj);
  if (!loaded.vision && !loaded.model.config().multimodal_json.empty()) {
    io.err << "corral: there is no image tower: only the text model is written\n";
  }
  if (options.out.extension() == ".gguf") {
    write_gguf(options, loaded, io);
  } else {
    write_hf(options, loaded);
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
  command->add_option("--type", options->type,
                      "f32, f16, bf16, or for GGUF also q8_0, q6_k, q5_k, q4_k, q3_k, q2_k, q4_0, "
                      "q4_1, q5_0, q5_1, iq4_nl, iq4_xs, mxfp4, or mix4 (routed experts q4_k, the "
                      "rest q6_k); default q8_0 for GGUF, bf16 for a folder");
  command->add_option("--mmproj", options->mmproj,
                      "image projector file of a GGUF model (default: the one beside it)");
  command
      ->add_option("--quantize", options->quantize,
                   "int4: routed and shared experts in int4, everything else bf16, in a folder")
      ->check(CLI::IsMember({"int4"}));
  command->add_option("--name", options->name, "the model's name in a GGUF file");
  options->machine.add_to(*command);
  command->footer(
      "Examples:\n"
      "  corral convert runs/mini/latest mini.gguf --type q8_0\n"
      "  corral convert mini.gguf mini-hf --type f32\n"
      "  corral convert Llama-4-Scout-17B-16E scout-int4 --quantize int4");
  command->callback([options, &io] { run_convert(*options, io); });
}

}  // namespace corral::cli
