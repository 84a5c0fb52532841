#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>

#include "engine/speculation/speculator.h"
#include "model/loaded_model.h"

namespace corral::cli {

/// What guesses tokens for a model, with the model that it may use.
struct Speculation {
  std::unique_ptr<const model::LoadedModel> draft_model;
  std::unique_ptr<engine::Speculator> speculator;  // null: decode plainly
};

/// --lookup, --draft and --draft-tokens.
class SpeculationOptions {
 public:
  void add_to(CLI::App& command);
  /// kv_bytes: most that the draft model's keys and values may take. Throws UsageError when both
  /// ways are asked for, or the draft model has another vocabulary.
  Speculation make(const model::LoadedModel& target, const model::ForwardOptions& forward,
                   int64_t kv_bytes = std::numeric_limits<int64_t>::max()) const;
  /// The draft model, as resolve_model() takes it; empty: none.
  const std::string& draft() const { return draft_; }
  bool given() const { return lookup_ || !draft_.empty(); }

 private:
  bool lookup_ = false;
  std::string draft_;
  int64_t draft_tokens_ = 16;
};

}  // namespace corral::cli
