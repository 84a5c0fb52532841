#pragma once

#include <memory>
#include <string>

#include "text/tokenizer.h"

namespace corral::cli {

/// The tokenizer of a MODEL (GGUF file, Hugging Face directory, listed name) or of a bare
/// `tokenizer.model` or `tokenizer.json`. Throws UsageError when there is no such model, Error when
/// it has no tokenizer.
std::shared_ptr<const text::Tokenizer> load_tokenizer(const std::string& model);

/// Help text of such an argument.
inline constexpr const char* kTokenizerHelp =
    "a model, or a bare tokenizer.model or tokenizer.json file";

}  // namespace corral::cli
