#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
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
  /// lookup: whether to look up when nobody says how to guess.
  explicit SpeculationOptions(bool lookup = true) : lookup_by_default_(lookup) {}

  void add_to(CLI::App& command);
  /// kv_bytes: most that the draft model's keys and values may take. Throws UsageError when both
  /// ways are asked for, or the draft model has another vocabulary.
  Speculation make(const model::LoadedModel& target, const model::ForwardOptions& forward,
                   int64_t kv_bytes = std::numeric_limits<int64_t>::max()) const;
  /// The draft model, as resolve_model() takes it; empty: none.
  const std::string& draft() const { return draft_; }
  bool any() const { return looks_up() || !draft_.empty(); }

 private:
  bool looks_up() const { return lookup_.value_or(lookup_by_default_ && draft_.empty()); }

  bool lookup_by_default_;
  std::optional<bool> lookup_;  // as given
  std::string draft_;
  int64_t draft_tokens_ = 16;
};

}  // namespace corral::cli
