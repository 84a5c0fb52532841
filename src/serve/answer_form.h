#pragma once

#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "engine/constraint/constraint.h"
#include "serve/api_json.h"

namespace corral::serve {

/// The form that an answer has to follow, as its request says: {"format", "tools", "required",
/// "only", "parallel"}, those that it needs. Checked as far as that needs no grammar.
struct AnswerForm {
  OrderedJson json;
};

/// What `response_format` and (if with_tools) `tools`, `tool_choice` and `parallel_tool_calls` ask
/// for; nullopt: any text. Throws ApiError 400.
std::optional<AnswerForm> read_answer_form(const Fields& fields, bool with_tools);

/// Forms as constraints for one vocabulary. Remembers those used last, with what was found out
/// about them. Thread-safe.
class AnswerForms {
 public:
  /// Throws ApiError 400 for a form that is not supported, naming what and where.
  std::shared_ptr<engine::Constraint> constraint(
      const AnswerForm& form, const std::shared_ptr<const text::Tokenizer>& tokenizer);

 private:
  static constexpr size_t kMostRemembered = 16;
  struct Entry {
    std::string key;
    std::shared_ptr<engine::Constraint> constraint;
  };
  std::mutex mutex_;
  std::shared_ptr<const engine::TokenTrie> vocabulary_;
  std::list<Entry> entries_;  // those used last first
};

}  // namespace corral::serve
