#include "serve/metrics.h"

#include "base/str.h"

namespace corral::serve {
namespace {

/// One metric: its description, then a line for each label.
class Text {
 public:
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
  std::string take() { return std::move(text_); }

 private:
  std::string text_;
};

}  // namespace

std::string metrics_text(const engine::SchedulerStats& e, const HttpStats& http,
                         const std::map<int, int64_t>& answered) {
  Text text;
  text.add("corral_http_requests_total", "counter", "Requests by the status of their answer.");
  for (const auto& [status, count] : answered) {
    text.value("corral_http_requests_total", count, str("{status=\"", status, "\"}"));
  }
  text.one("corral_http_connections", "gauge", "Open connections.", http.connections);
  text.one("corral_http_connections_total", "counter", "Accepted connections.", http.accepted);
  text.one("corral_http_connections_refused_total", "counter", "Connections beyond the limit.",
           http.refused);
  text.one("corral_answers_running", "gauge", "Answers that grow now.", e.running);
  text.one("corral_requests_waiting", "gauge", "Requests in the queue.", e.waiting);
  text.one("corral_requests_total", "counter", "Requests that the engine accepted.", e.requests);
  text.one("corral_prompt_tokens_total", "counter", "Tokens of prompts.", e.prompt_tokens);
  text.one("corral_prompt_tokens_cached_total", "counter",
           "Tokens of prompts found in the prefix cache.", e.cached_tokens);
  text.one("corral_answer_tokens_total", "counter", "Tokens of answers.", e.answer_tokens);
  text.add("corral_answers_finished_total", "counter", "Answers by the reason of their end.");
  for (const auto& [reason, count] : e.finished) {
    text.value("corral_answers_finished_total", count, str("{reason=\"", reason, "\"}"));
  }
  text.one("corral_answers_parked_total", "counter",
           "Times an answer made room for others and was computed again.", e.parked);
  text.one("corral_steps_total", "counter", "Passes through the model.", e.steps);
  text.one("corral_step_tokens_total", "counter", "Tokens that went through it.", e.step_tokens);
  text.one("corral_busy_seconds_total", "counter", "Time spent in passes.", e.busy_seconds);
  text.one("corral_kv_bytes", "gauge", "Keys and values in memory.", e.kv_bytes);
  text.one("corral_kv_bytes_limit", "gauge", "Most that they may take.", e.kv_max_bytes);
  text.one("corral_prefix_blocks", "gauge", "Blocks in the prefix cache.", e.prefix_blocks);
  return text.take();
}

}  // namespace corral::serve
