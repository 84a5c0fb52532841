#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "cli/common.h"

namespace corral::cli {

/// Where `corral pull` puts models: $CORRAL_MODELS, else $XDG_CACHE_HOME/corral/models, else
/// ~/.cache/corral/models. Throws UsageError when none of these is set.
std::filesystem::path pulled_models_folder();

/// The models in it that were pulled to the end, as OWNER/NAME; where a repository holds several
/// GGUF models, as OWNER/NAME/FILE without its ending.
std::vector<ListedModel> pulled_models();

}  // namespace corral::cli
