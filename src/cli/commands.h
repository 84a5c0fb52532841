#pragma once

#include <CLI/CLI.hpp>

#include "cli/io.h"

namespace corral::cli {

// Each adds one command to the program; its callback does the work and throws corral::Error.
void add_run_command(CLI::App& app, Io& io);
void add_chat_command(CLI::App& app, Io& io);
void add_serve_command(CLI::App& app, Io& io);
void add_keys_command(CLI::App& app, Io& io);
void add_info_command(CLI::App& app, Io& io);
void add_list_command(CLI::App& app, Io& io);
void add_pull_command(CLI::App& app, Io& io);
void add_train_command(CLI::App& app, Io& io);
void add_plot_command(CLI::App& app, Io& io);
void add_tokenizer_command(CLI::App& app, Io& io);
void add_init_command(CLI::App& app, Io& io);
void add_convert_command(CLI::App& app, Io& io);
void add_calibrate_command(CLI::App& app, Io& io);
void add_bench_command(CLI::App& app, Io& io);
void add_tune_command(CLI::App& app, Io& io);
void add_perplexity_command(CLI::App& app, Io& io);

// Under `corral debug`.
void add_debug_logits(CLI::App& debug, Io& io);
void add_debug_gradients(CLI::App& debug, Io& io);
void add_debug_tokenize(CLI::App& debug, Io& io);
void add_debug_render(CLI::App& debug, Io& io);
void add_debug_tiles(CLI::App& debug, Io& io);

}  // namespace corral::cli
