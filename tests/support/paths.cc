#include "support/paths.h"

namespace corral::test {

std::filesystem::path source_dir() { return CORRAL_SOURCE_DIR; }

}  // namespace corral::test
