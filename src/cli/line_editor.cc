#include "cli/line_editor.h"

#include <histedit.h>

#include <cerrno>
#include <cstdio>
#include <string_view>

namespace corral::cli {
namespace {

constexpr int kHistoryLines = 1000;

}  // namespace

class LineEditor::Terminal {
 public:
  Terminal() : history_(history_init()), editor_(el_init("corral", stdin, stdout, stderr)) {
    HistEvent event;
    history(history_, &event, H_SETSIZE, kHistoryLines);
    el_set(editor_, EL_CLIENTDATA, this);
    el_set(editor_, EL_PROMPT, &Terminal::prompt_of);
    el_set(editor_, EL_EDITOR, "emacs");
    el_set(editor_, EL_HIST, history, history_);
  }
  ~Terminal() {
    el_end(editor_);
    history_end(history_);
  }
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  std::optional<std::string> read(const std::string& prompt) {
    prompt_ = prompt;
    int length = 0;
    errno = 0;
    const char* line = el_gets(editor_, &length);
    if (line == nullptr) {
      if (length < 0 && errno == EINTR) {  // Ctrl-C
        el_reset(editor_);
        std::fputc('\n', stdout);
        return "";
      }
      return std::nullopt;
    }
    std::string text(line, static_cast<size_t>(length));
    while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
    HistEvent event;
    if (!text.empty()) history(history_, &event, H_ENTER, text.c_str());
    return text;
  }

 private:
  static char* prompt_of(EditLine* editor) {
    void* self = nullptr;
    el_get(editor, EL_CLIENTDATA, &self);
    return static_cast<Terminal*>(self)->prompt_.data();
  }

  std::string prompt_;
  History* history_;
  EditLine* editor_;
};

LineEditor::LineEditor(Io& io)
    : io_(io), terminal_(io.terminal ? std::make_unique<Terminal>() : nullptr) {}

LineEditor::~LineEditor() = default;

std::optional<std::string> LineEditor::read(const std::string& prompt) {
  if (terminal_) return terminal_->read(prompt);
  std::string line;
  if (!std::getline(io_.in, line)) return std::nullopt;
  return line;
}

}  // namespace corral::cli
