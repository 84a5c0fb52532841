#include "cli/app.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <new>

#include "base/error.h"
#include "cli/commands.h"

namespace corral::cli {
namespace {

constexpr int kFailed = 1;
constexpr int kMisused = 2;
using AddCommand = void (*)(CLI::App&, Io&);

constexpr std::array<AddCommand, 16> kCommands = {
    add_chat_command,      add_serve_command, add_run_command,        add_list_command,
    add_info_command,      add_pull_command,  add_train_command,      add_plot_command,
    add_tokenizer_command, add_init_command,  add_convert_command,    add_calibrate_command,
    add_bench_command,     add_tune_command,  add_perplexity_command, add_keys_command};

constexpr std::array<AddCommand, 5> kDebugCommands = {
    add_debug_logits, add_debug_gradients, add_debug_tokenize, add_debug_render, add_debug_tiles};

constexpr const char* kFooter =
    "Examples:\n"
    "  corral chat llama-scout-mini\n"
    "  corral run llama-scout-mini -p \"Once upon a time\" -n 100 --seed 7\n"
    "  corral pull meta-llama/Llama-4-Scout-17B-16E-Instruct\n"
    "  corral train recipes/tiny.toml --out runs/tiny\n"
    "  corral convert runs/tiny/latest tiny.gguf --type q8_0\n"
    "`corral COMMAND --help` explains a command.";

// CLI11 spreads some messages over lines; ours are one.
std::string one_line(std::string message) {
  std::replace(message.begin(), message.end(), '\n', ' ');
  return message;
}

int complain(Io& io, const std::string& message, int status) {
  io.err << "corral: " << one_line(message) << std::endl;
  return status;
}

int parse_and_run(CLI::App& app, const std::vector<std::string>& arguments, Io& io) {
  std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());
  try {
    app.parse(reversed);
  } catch (const CLI::CallForHelp&) {
    io.out << app.help();
  } catch (const CLI::CallForAllHelp&) {
    io.out << app.help("", CLI::AppFormatMode::All);
  } catch (const CLI::CallForVersion&) {
    io.out << app.version() << '\n';
  } catch (const CLI::ParseError& error) {
    return complain(io, str(error.what(), " (see --help)"), kMisused);
  }
  return 0;
}

}  // namespace

int run(const std::vector<std::string>& arguments, Io& io) {
  CLI::App app("Corral runs, trains and measures the Llama 4 family.", "corral");
  app.set_version_flag("--version", CORRAL_VERSION);
  app.require_subcommand(1);
  app.footer(kFooter);
  for (const AddCommand add : kCommands) add(app, io);
  CLI::App* debug = app.add_subcommand("debug", "JSON in and out, to compare with other programs");
  debug->require_subcommand(1);
  for (const AddCommand add : kDebugCommands) add(*debug, io);
  try {
    return parse_and_run(app, arguments, io);
  } catch (const UsageError& error) {
    return complain(io, error.what(), kMisused);
  } catch (const Error& error) {
    return complain(io, error.what(), kFailed);
  } catch (const std::bad_alloc&) {
    return complain(io, "out of memory", kFailed);
  } catch (const std::exception& error) {
    return complain(io, str("unexpected failure: ", error.what()), kFailed);
  }
}

}  // namespace corral::cli
