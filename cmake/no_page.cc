// Stands in for the chat page where esbuild or its libraries are missing.
#include "serve/page_files.h"

namespace corral::serve {

std::span<const PageFile> page_files() { return {}; }

}  // namespace corral::serve
