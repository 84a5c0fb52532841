#pragma once

#include <functional>
#include <nlohmann/json.hpp>

#include "cli/io.h"

namespace corral::cli {

/// Reads standard input as one JSON object a line (blank lines are skipped) and writes
/// answer(object) as a line for each. Throws CorruptFile naming the line for whatever is wrong with
/// one.
void answer_json_lines(
    Io& io, const std::function<nlohmann::ordered_json(const nlohmann::ordered_json&)>& answer);

}  // namespace corral::cli
