#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "base/clock.h"
#include "train/expert_balance.h"
#include "train/prepare.h"
#include "train/validation.h"

namespace corral::train {

/// What one optimizer step has to tell.
struct StepReport {
  int64_t step = 0;  // completed, so the first is 1
  int64_t rows = 0;  // tokens seen so far
  double epoch = 0;  // passes over the mixture so far
  double loss = 0;   // nats a supervised token
  double z_loss = 0;
  double learning_rate = 0;
  double gradient_norm = 0;
  bool clipped = false;
  std::vector<LoadReport> loads;                    // a layer with experts
  std::vector<std::vector<int64_t>> expert_counts;  // empty in most steps
  double seconds = 0;
  int64_t step_rows = 0;
};

/// Turns reports into lines: of metrics.jsonl, and of progress for people.
class RunReport {
 public:
  /// flops_per_token: of forward and backward pass; peak_flops: what the machine could do.
  RunReport(double flops_per_token, double peak_flops)
      : flops_per_token_(flops_per_token), peak_flops_(peak_flops) {}

  /// Everything that differs from run to run stands under "speed".
  nlohmann::ordered_json metrics(const StepReport& report) const;
  nlohmann::ordered_json metrics(int64_t step, const std::vector<ValidationLoss>& losses,
                                 double seconds) const;

  /// Shows progress: on a terminal one line redrawn at most five times a second, elsewhere a line
  /// every ten seconds; with `last`, always and with an end.
  void show(const StepReport& report, int64_t steps, const RunLog& log, bool last);
  /// Ends a redrawn line, so that something else can be printed.
  void end_line(const RunLog& log);

 private:
  std::string line(const StepReport& report, int64_t steps) const;

  double flops_per_token_;
  double peak_flops_;
  double average_seconds_ = 0;  // of a step, recent ones weigh more
  bool open_line_ = false;
  Clock::time_point shown_{};
};

/// "12.3k", "1.20M".
std::string short_number(double value);

}  // namespace corral::train
