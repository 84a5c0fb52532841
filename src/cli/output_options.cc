#include "cli/output_options.h"

#include "base/error.h"

namespace corral::cli {

model::GgufOptions gguf_options(const std::string& type, Io& io) {
  if (type == "int4" || type == "fp8") {
    throw UsageError(str("--type ", type, " is a form of Hugging Face folders; for a GGUF file of ",
                         "about that size use ", type == "int4" ? "q4_k" : "q8_0"));
  }
  model::GgufOptions options;
  options.mix = model::TypeMix::parse(type.empty() ? "q8_0" : type);
  options.dtype = options.mix->routed;
  options.note = [&io](const std::string& line) { io.err << "corral: " << line << '\n'; };
  options.progress = writing_progress(io);
  return options;
}

model::HfOptions hf_options(const std::string& type) {
  model::HfOptions options;
  if (type == "int4" || type == "fp8") {
    options.experts = model::parse_expert_coding(type);
  } else if (!type.empty()) {
    options.dtype = parse_dtype(type);
  }
  return options;
}

bool names_gguf(const std::filesystem::path& out) { return out.extension() == ".gguf"; }

model::ExportProgress writing_progress(Io& io) {
  auto progress = std::make_shared<Progress>(io.err, io.terminal, "writing", 1, "MB");
  return [progress](int64_t done, int64_t total) {
    progress->set_total(static_cast<double>(total) / 1e6);
    progress->update(static_cast<double>(done) / 1e6);
  };
}

}  // namespace corral::cli
