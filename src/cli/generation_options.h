#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <string>

#include "cli/common.h"
#include "engine/session.h"
#include "quant/linear_weight.h"

namespace corral::cli {

/// What `run` and `chat` let a person say about answers.
class GenerationOptions {
 public:
  void add_to(CLI::App& command);
  /// A seed that was not given is drawn from the clock, once.
  engine::GenerateOptions generate() const;
  quant::Precision precision() const;
  kv::KvTypes kv_types() const { return kv_types_.types(); }

  std::string system;  // system prompt of a chat; empty: none

 private:
  engine::GenerateOptions options_;
  std::optional<uint64_t> seed_;
  std::string precision_ = "f32";
  KvTypeOptions kv_types_;
};

}  // namespace corral::cli
