#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "engine/constraint/constraint.h"

namespace corral::cli {

/// --json-schema, --grammar and --regex: what an answer has to follow.
class FormOptions {
 public:
  void add_to(CLI::App& command);
  /// Null: nothing. Throws UsageError and IoError as the file or the form is bad.
  std::shared_ptr<engine::Constraint> constraint(
      const std::shared_ptr<const text::Tokenizer>& tokenizer) const;

 private:
  std::string schema_;
  std::string grammar_;
  std::string regex_;
};

}  // namespace corral::cli
