// `corral chat` in a pseudo-terminal, as a person uses it.

#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <string>
#include <thread>

#include "support/paths.h"

namespace corral::cli {
namespace {

constexpr int kPatienceMs = 60'000;  // only a hanging program needs them
constexpr const char* kCtrlC = "\x03";
constexpr const char* kUp = "\x1b[A";

/// The program at the other end of a terminal. It answers slowly and for seconds, as hardly a token
/// it draws ends an answer: what happens meanwhile is not over before it has been seen.
class ChatInATerminal {
 public:
  ChatInATerminal() {
    const std::string model = (test::source_dir() / "models/llama-scout-mini.gguf").string();
    child_ = forkpty(&terminal_, nullptr, nullptr, nullptr);
    if (child_ == 0) {
      setenv("TERM", "vt100", 1);
      execl(CORRAL_BINARY, "corral", "chat", model.c_str(), "-n", "1000000", "-t", "1", "--seed",
            "1", "--temp", "100", "--top-p", "1", "--isa", "portable", static_cast<char*>(nullptr));
      _exit(127);
    }
  }
  ~ChatInATerminal() {
    if (child_ > 0) {
      kill(child_, SIGKILL);
      waitpid(child_, nullptr, 0);
    }
    if (terminal_ >= 0) close(terminal_);
  }
  ChatInATerminal(const ChatInATerminal&) = delete;
  ChatInATerminal& operator=(const ChatInATerminal&) = delete;

  /// False where the system gives no terminals, as in a container without /dev/pts.
  bool started() const { return child_ > 0; }

  void type(const std::string& keys) {
    ASSERT_EQ(write(terminal_, keys.data(), keys.size()), static_cast<ssize_t>(keys.size()));
  }

  /// What is shown up to and with `text`; fails when that does not come.
  std::string shown_until(const std::string& text) {
    size_t at;
    while ((at = pending_.find(text)) == pending_.npos) {
      if (!read_more()) {
        ADD_FAILURE() << "no \"" << text << "\" in: " << pending_;
        return pending_;
      }
    }
    std::string shown = pending_.substr(0, at + text.size());
    pending_.erase(0, at + text.size());
    return shown;
  }

  /// Waits for the prompt and until the editor reads: what comes earlier the system shows itself,
  /// and a Ctrl-C right behind it would take it back unread.
  void prompted() {
    shown_until("> ");
    wait_for_lines(false);
  }
  /// Waits until the editor has given the terminal back: an answer is being written.
  void answering() { wait_for_lines(true); }

  /// Waits for the end; -1 when a signal ended it or it does not come.
  int exit_status() {
    const auto patience = std::chrono::steady_clock::now() + std::chrono::milliseconds(kPatienceMs);
    int status = 0;
    while (waitpid(child_, &status, WNOHANG) == 0) {
      if (std::chrono::steady_clock::now() > patience) return -1;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    child_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

 private:
  /// Waits until the terminal collects whole lines, or no longer.
  void wait_for_lines(bool whole) {
    const auto patience = std::chrono::steady_clock::now() + std::chrono::milliseconds(kPatienceMs);
    termios mode{};
    do {
      ASSERT_LT(std::chrono::steady_clock::now(), patience);
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      ASSERT_EQ(tcgetattr(terminal_, &mode), 0);
    } while (((mode.c_lflag & ICANON) != 0) != whole);
  }

  bool read_more() {
    pollfd ready{terminal_, POLLIN, 0};
    if (poll(&ready, 1, kPatienceMs) <= 0) return false;
    std::array<char, 4096> part;
    const ssize_t got = read(terminal_, part.data(), part.size());
    if (got <= 0) return false;  // EIO: the program has closed the terminal
    pending_.append(part.data(), static_cast<size_t>(got));
    return true;
  }

  pid_t child_ = -1;
  int terminal_ = -1;
  std::string pending_;
};

TEST(ChatTerminal, CtrlCStopsTheAnswerAndNotTheProgram) {
  ChatInATerminal chat;
  if (!chat.started()) GTEST_SKIP() << "this system gives no terminals: is /dev/pts mounted?";
  chat.shown_until("/help");
  chat.prompted();
  chat.type("Tell me a long story.\n");
  chat.answering();
  chat.type(kCtrlC);
  chat.prompted();
  chat.type(kCtrlC);  // at the prompt it clears the line
  chat.prompted();
  chat.type("/help\n");
  chat.shown_until("forget the conversation");
  chat.prompted();
  chat.type("/quit\n");
  EXPECT_EQ(chat.exit_status(), 0);
}

TEST(ChatTerminal, RemembersLines) {
  ChatInATerminal chat;
  if (!chat.started()) GTEST_SKIP() << "this system gives no terminals: is /dev/pts mounted?";
  chat.prompted();
  chat.type("/help\n");
  chat.shown_until("Ctrl-C stops");
  chat.prompted();
  chat.type(std::string(kUp) + "\n");
  chat.shown_until("Ctrl-C stops");
  chat.prompted();
  chat.type("/quit\n");
  EXPECT_EQ(chat.exit_status(), 0);
}

}  // namespace
}  // namespace corral::cli
