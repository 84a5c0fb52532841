#pragma once

#include <cstdint>
#include <ostream>
#include <string>

#include "base/clock.h"

namespace corral {

/// Where long work reports to. On a terminal one line is redrawn at most ten times a second with a
/// bar, rate and time left; elsewhere a plain line every ten seconds. Nothing is shown for work
/// that ends within two seconds.
class Progress {
 public:
  /// what: "quantizing"; unit: "MB", "tokens". total 0 means unknown.
  Progress(std::ostream& out, bool terminal, std::string what, double total, std::string unit);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// Sets the total when it was not known at the start.
  void set_total(double total) { total_ = total; }
  /// Sets how much is done; note replaces the text after the figures.
  void update(double done, const std::string& note = "");
  /// Draws the last state once more and ends the line (the destructor does it too).
  void finish();

 private:
  std::string line(double seconds) const;

  std::ostream& out_;
  bool terminal_;
  std::string what_;
  std::string unit_;
  std::string note_;
  double total_;
  double done_ = 0;
  Clock::time_point start_;
  Clock::time_point drawn_;
  bool shown_ = false;
  bool finished_ = false;
};

/// "1h 02m", "3m 07s", "12s".
std::string format_duration(double seconds);

}  // namespace corral
