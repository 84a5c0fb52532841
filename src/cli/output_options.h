#pragma once

#include <memory>
#include <string>

#include "base/progress.h"
#include "cli/io.h"
#include "model/gguf_checkpoint.h"
#include "model/hf_checkpoint.h"

namespace corral::cli {

/// Help text of --type where a model is written.
inline constexpr const char* kTypeHelp =
    "f32, f16 or bf16. For GGUF also q8_0, q6_k, q5_k, q4_k, q3_k, q2_k, q4_0, q4_1, q5_0, q5_1, "
    "iq4_nl, iq4_xs, mxfp4, or mix4 (routed experts q4_k, the rest q6_k). For a folder also int4 "
    "or fp8: routed and shared experts as codes, the rest bf16. Default q8_0 for GGUF, bf16 for a "
    "folder";

/// What --type means for a file ending in .gguf and for a folder; throws UsageError for what the
/// form does not have.
model::GgufOptions gguf_options(const std::string& type, Io& io);
model::HfOptions hf_options(const std::string& type);

/// True when the name asks for a GGUF file.
bool names_gguf(const std::filesystem::path& out);

/// A bar with megabytes and the time left; draws while the result is alive.
model::ExportProgress writing_progress(Io& io);

}  // namespace corral::cli
