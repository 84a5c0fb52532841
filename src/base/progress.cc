#include "base/progress.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <utility>

#include "base/str.h"

namespace corral {
namespace {

constexpr auto kFirstShown = std::chrono::seconds(2);
constexpr auto kTerminalInterval = std::chrono::milliseconds(100);
constexpr auto kPlainInterval = std::chrono::seconds(10);
constexpr int kBarWidth = 24;
constexpr double kLongestShown = 9999 * 3600.0;

std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof(text), value >= 100 ? "%.0f" : "%.1f", value);
  return text;
}

}  // namespace

std::string format_duration(double seconds) {
  const auto whole =
      static_cast<int64_t>(std::max(0.0, std::min(kLongestShown, std::round(seconds))));
  char text[48];
  if (whole >= 3600) {
    std::snprintf(text, sizeof(text), "%ldh %02ldm", whole / 3600, whole / 60 % 60);
  } else if (whole >= 60) {
    std::snprintf(text, sizeof(text), "%ldm %02lds", whole / 60, whole % 60);
  } else {
    std::snprintf(text, sizeof(text), "%lds", whole);
  }
  return text;
}

Progress::Progress(std::ostream& out, bool terminal, std::string what, double total,
                   std::string unit)
    : out_(out),
      terminal_(terminal),
      what_(std::move(what)),
      unit_(std::move(unit)),
      total_(total),
      start_(Clock::now()),
      drawn_(start_) {}

Progress::~Progress() { finish(); }

std::string Progress::line(double seconds) const {
  const double rate = seconds > 0 ? done_ / seconds : 0;
  std::string text = what_ + " ";
  if (total_ > 0) {
    const double share = std::clamp(done_ / total_, 0.0, 1.0);
    if (terminal_) {
      const auto full = static_cast<size_t>(share * kBarWidth);
      text += "[" + std::string(full, '#') + std::string(kBarWidth - full, ' ') + "] ";
    }
    text +=
        str(static_cast<int>(share * 100), "% ", number(done_), "/", number(total_), " ", unit_);
  } else {
    text += str(number(done_), " ", unit_);
  }
  text += str(", ", number(rate), " ", unit_, "/s");
  if (total_ > done_ && rate > 0) text += ", " + format_duration((total_ - done_) / rate) + " left";
  if (!note_.empty()) text += ", " + note_;
  return text;
}

void Progress::update(double done, const std::string& note) {
  done_ = done;
  note_ = note;
  const auto now = Clock::now();
  if (now - start_ < kFirstShown) return;
  if (shown_ && now - drawn_ < (terminal_ ? Clock::duration(kTerminalInterval)
                                          : Clock::duration(kPlainInterval))) {
    return;
  }
  drawn_ = now;
  shown_ = true;
  const std::string text = line(std::chrono::duration<double>(now - start_).count());
  if (terminal_) {
    out_ << '\r' << text << "\x1b[K" << std::flush;
  } else {
    out_ << text << std::endl;
  }
}

void Progress::finish() {
  if (std::exchange(finished_, true) || !shown_) return;
  const std::string text = line(seconds_since(start_));
  out_ << (terminal_ ? "\r" : "") << text << (terminal_ ? "\x1b[K" : "") << std::endl;
}

}  // namespace corral
