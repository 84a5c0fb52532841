#pragma once

#include <memory>
#include <optional>
#include <string>

#include "cli/io.h"

namespace corral::cli {

/// Asks a person for lines: with editing and history on a terminal (libedit), plainly elsewhere.
class LineEditor {
 public:
  explicit LineEditor(Io& io);
  ~LineEditor();
  LineEditor(const LineEditor&) = delete;
  LineEditor& operator=(const LineEditor&) = delete;

  /// The next line without its end; empty optional at the end of the input (Ctrl-D). Ctrl-C gives
  /// up the line: it returns an empty string.
  std::optional<std::string> read(const std::string& prompt);

 private:
  class Terminal;
  Io& io_;
  std::unique_ptr<Terminal> terminal_;
};

}  // namespace corral::cli
