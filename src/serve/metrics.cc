#include "serve/metrics.h"

#include <functional>
#include <utility>

#include "base/str.h"

namespace corral::serve {
namespace {

// Names of models come from the operator, but a quote in one must not break the format.
std::string label(const std::string& text) {
  std::string escaped;
  for (const char c : text) {
    if (c == '"' || c == '\\') escaped += '\\';
    escaped += c == '\n' ? ' ' : c;
  }
  return escaped;
}

/// One metric: its description, then a line for each label.
class Text {
 public:
  explicit Text(const std::vector<ShelfStats>& models) : models_(models) {}

  void add(const char* name, const char* type, const char* help) {
    text_ += str("# HELP ", name, " ", help, "\n# TYPE ", name, " ", type, "\n");
  }
  template <class Value>
  void value(const char* name, Value value, const std::string& labels = "") {
    text_ += str(name, labels, " ", value, "\n");
  }
  template <class Value>
  void one(const char* name, const char* type, const char* help, Value amount) {
    add(name, type, help);
    value(name, amount);
  }
  /// A line for each model.
  template <class Read>
  void each(const char* name, const char* type, const char* help, Read read) {
    add(name, type, help);
    for (const ShelfStats& model : models_) {
      value(name, read(model), str("{model=\"", label(model.name), "\"}"));
    }
  }
  template <class Value>
  void engine(const char* name, const char* type, const char* help,
              Value engine::SchedulerStats::*member) {
    each(name, type, help, [&](const ShelfStats& model) { return model.engine.*member; });
  }
  std::string take() { return std::move(text_); }

 private:
  const std::vector<ShelfStats>& models_;
  std::string text_;
};

void verdicts(Text& text, const Moderation& moderation) {
  constexpr const char* kName = "corral_guard_verdicts_total";
  text.add(kName, "counter", "What the guard model said of questions and answers.");
  text.value(kName, moderation.questions.safe.load(), "{of=\"question\",verdict=\"safe\"}");
  text.value(kName, moderation.questions.unsafe.load(), "{of=\"question\",verdict=\"unsafe\"}");
  text.value(kName, moderation.answers.safe.load(), "{of=\"answer\",verdict=\"safe\"}");
  text.value(kName, moderation.answers.unsafe.load(), "{of=\"answer\",verdict=\"unsafe\"}");
}

}  // namespace

std::string metrics_text(const std::vector<ShelfStats>& models, const HttpStats& http,
                         const std::map<int, int64_t>& answered, const Moderation* moderation) {
  using Stats = engine::SchedulerStats;
  Text text(models);
  text.add("corral_http_requests_total", "counter", "Requests by the status of their answer.");
  for (const auto& [status, count] : answered) {
    text.value("corral_http_requests_total", count, str("{status=\"", status, "\"}"));
  }
  text.one("corral_http_connections", "gauge", "Open connections.", http.connections);
  text.one("corral_http_connections_total", "counter", "Accepted connections.", http.accepted);
  text.one("corral_http_connections_refused_total", "counter", "Connections beyond the limit.",
           http.refused);
  text.one("corral_http_accept_failures_total", "counter",
           "Times that no connection could be accepted, for want of descriptors.", http.failed);
  text.each("corral_model_loaded", "gauge", "1 while the model is open.",
            [](const ShelfStats& model) { return model.open ? 1 : 0; });
  text.each("corral_model_loads_total", "counter", "Times the model was opened.",
            [](const ShelfStats& model) { return model.opened; });
  text.engine("corral_answers_running", "gauge", "Answers that grow now.", &Stats::running);
  text.engine("corral_requests_waiting", "gauge", "Requests in the queue.", &Stats::waiting);
  text.engine("corral_requests_total", "counter", "Requests that the engine accepted.",
              &Stats::requests);
  text.engine("corral_prompt_tokens_total", "counter", "Tokens of prompts.", &Stats::prompt_tokens);
  text.engine("corral_prompt_tokens_cached_total", "counter",
              "Tokens of prompts found in the prefix cache.", &Stats::cached_tokens);
  text.engine("corral_answer_tokens_total", "counter", "Tokens of answers.", &Stats::answer_tokens);
  text.add("corral_answers_finished_total", "counter", "Answers by the reason of their end.");
  for (const ShelfStats& model : models) {
    for (const auto& [reason, count] : model.engine.finished) {
      text.value("corral_answers_finished_total", count,
                 str("{model=\"", label(model.name), "\",reason=\"", reason, "\"}"));
    }
  }
  text.engine("corral_answers_parked_total", "counter",
              "Times an answer made room for others and was computed again.", &Stats::parked);
  text.engine("corral_steps_total", "counter", "Passes through the model.", &Stats::steps);
  text.engine("corral_step_tokens_total", "counter", "Tokens that went through it.",
              &Stats::step_tokens);
  text.engine("corral_draft_tokens_total", "counter",
              "Tokens that were guessed and checked (--lookup, --draft).", &Stats::drafted);
  text.engine("corral_draft_tokens_accepted_total", "counter", "Of these, right.",
              &Stats::accepted);
  text.engine("corral_busy_seconds_total", "counter", "Time spent in passes.",
              &Stats::busy_seconds);
  text.engine("corral_kv_bytes", "gauge", "Keys and values in memory.", &Stats::kv_bytes);
  text.engine("corral_kv_bytes_limit", "gauge", "Most that they may take.", &Stats::kv_max_bytes);
  text.engine("corral_prefix_blocks", "gauge", "Blocks in the prefix cache.",
              &Stats::prefix_blocks);
  text.engine("corral_prefix_disk_bytes", "gauge", "Prefixes on disk (--kv-disk).",
              &Stats::prefix_disk_bytes);
  text.engine("corral_prefix_loaded_bytes_total", "counter", "Prefixes that came back from disk.",
              &Stats::loaded_bytes);
  if (moderation != nullptr) verdicts(text, *moderation);
  return text.take();
}

}  // namespace corral::serve
