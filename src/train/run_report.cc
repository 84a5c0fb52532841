#include "train/run_report.h"

#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/progress.h"

namespace corral::train {
namespace {

constexpr double kAverageOverSteps = 20;
constexpr auto kTerminalInterval = std::chrono::milliseconds(200);
constexpr auto kPlainInterval = std::chrono::seconds(10);

double share_of(double part, double whole) { return whole > 0 ? part / whole : 0; }

}  // namespace

std::string short_number(double value) {
  char text[32];
  if (value >= 1e6) {
    std::snprintf(text, sizeof(text), "%.2fM", value / 1e6);
  } else if (value >= 1e3) {
    std::snprintf(text, sizeof(text), "%.1fk", value / 1e3);
  } else {
    std::snprintf(text, sizeof(text), "%.0f", value);
  }
  return text;
}

nlohmann::ordered_json RunReport::metrics(const StepReport& r) const {
  nlohmann::ordered_json json;
  json["step"] = r.step;
  json["tokens"] = r.rows;
  json["epoch"] = r.epoch;
  json["loss"] = r.loss;
  if (r.z_loss != 0) json["z_loss"] = r.z_loss;
  json["learning_rate"] = r.learning_rate;
  json["gradient_norm"] = r.gradient_norm;
  json["clipped"] = r.clipped;
  if (!r.loads.empty()) {
    int64_t dead = 0;
    for (const LoadReport& load : r.loads) {
      json["max_violation"].push_back(load.max_violation);
      json["load_entropy"].push_back(load.entropy);
      dead += load.dead;
    }
    json["dead_experts"] = dead;
  }
  if (!r.expert_counts.empty()) json["experts"] = r.expert_counts;
  const double rate = share_of(static_cast<double>(r.step_rows), r.seconds);
  json["speed"] = {{"seconds", r.seconds},
                   {"tokens_per_second", rate},
                   {"utilisation", share_of(rate * flops_per_token_, peak_flops_)}};
  return json;
}

nlohmann::ordered_json RunReport::metrics(int64_t step, const std::vector<ValidationLoss>& losses,
                                          double seconds) const {
  nlohmann::ordered_json json;
  json["step"] = step;
  for (const ValidationLoss& loss : losses) {
    json["validation"][loss.name] = {
        {"loss", loss.nll}, {"bits_per_byte", loss.bits_per_byte}, {"tokens", loss.tokens}};
  }
  json["speed"] = {{"seconds", seconds}};
  return json;
}

std::string RunReport::line(const StepReport& r, int64_t steps) const {
  const double rate = share_of(static_cast<double>(r.step_rows), average_seconds_);
  char text[160];
  std::snprintf(text, sizeof(text),
                "step %ld/%ld  loss %.4f  %s tokens/s  %.0f %% of peak  %s left", r.step, steps,
                r.loss, short_number(rate).c_str(),
                100 * share_of(rate * flops_per_token_, peak_flops_),
                format_duration(static_cast<double>(steps - r.step) * average_seconds_).c_str());
  return text;
}

void RunReport::show(const StepReport& report, int64_t steps, const RunLog& log, bool last) {
  const bool first = average_seconds_ == 0;
  average_seconds_ =
      first ? report.seconds
            : average_seconds_ + (report.seconds - average_seconds_) / kAverageOverSteps;
  if (log.out == nullptr) return;
  const auto now = Clock::now();
  const auto interval =
      log.terminal ? Clock::duration(kTerminalInterval) : Clock::duration(kPlainInterval);
  if (!last && !first && now - shown_ < interval) return;
  shown_ = now;
  if (log.terminal) {
    *log.out << '\r' << line(report, steps) << "\x1b[K" << std::flush;
    open_line_ = true;
    if (last) end_line(log);
  } else {
    *log.out << line(report, steps) << std::endl;
  }
}

void RunReport::end_line(const RunLog& log) {
  if (log.out != nullptr && open_line_) *log.out << std::endl;
  open_line_ = false;
}

}  // namespace corral::train
