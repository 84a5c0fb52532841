#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/session.h"
#include "quant/linear_weight.h"
#include "text/tokenizer.h"

namespace corral::cli {

/// What `run` and `chat` let a person say about answers.
class GenerationOptions {
 public:
  void add_to(CLI::App& command);
  /// A seed that was not given is drawn from the clock, once.
  engine::GenerateOptions generate() const;
  quant::Precision precision() const;

  std::string system;  // system prompt of a chat; empty: none

 private:
  engine::GenerateOptions options_;
  std::optional<uint64_t> seed_;
  std::string precision_ = "f32";
};

/// The tokens of a fresh chat: system prompt (if not empty), the user's message, and the header of
/// the answer.
std::vector<int32_t> render_user_turn(const std::shared_ptr<const text::Tokenizer>& tokenizer,
                                      const std::string& system, const std::string& message);

}  // namespace corral::cli
