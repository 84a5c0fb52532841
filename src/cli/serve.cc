#include <memory>
#include <thread>

#include "base/error.h"
#include "cli/commands.h"
#include "cli/common.h"
#include "cli/interrupt.h"
#include "serve/server.h"

namespace corral::cli {
namespace {

constexpr double kMiB = 1 << 20;

struct ServeOptions {
  std::string model;
  serve::ServerOptions server;
  engine::SchedulerOptions engine;
  MachineOptions machine;
  std::string precision = "f32";
  KvTypeOptions kv_types;
  double kv_gib = 1;
  double max_body_mib = 8;
  double read_timeout_s = 30;
  double write_timeout_s = 30;
  double drain_s = 30;
  bool no_prefix_cache = false;
  bool quiet = false;
};

std::chrono::milliseconds milliseconds(double seconds) {
  return std::chrono::milliseconds(static_cast<int64_t>(seconds * 1000));
}

void serve_model(ServeOptions& options, Io& io) {
  const Interrupt interrupt;
  const auto loaded = model::load_model(resolve_model(options.model), options.machine.device());
  const auto tokenizer = loaded.need_tokenizer();
  options.engine.precision = parse_precision(options.precision);
  options.engine.kv_types = options.kv_types.types();
  options.engine.kv_bytes = static_cast<int64_t>(options.kv_gib * 1024 * kMiB);
  options.engine.prefix_cache = !options.no_prefix_cache;
  engine::Engine engine(loaded.model, tokenizer, options.engine);

  serve::ServerOptions server_options = options.server;
  if (server_options.model.empty()) server_options.model = loaded.name;
  server_options.http.max_body_bytes = static_cast<int64_t>(options.max_body_mib * kMiB);
  server_options.http.read_timeout = milliseconds(options.read_timeout_s);
  server_options.http.write_timeout = milliseconds(options.write_timeout_s);
  if (!options.quiet) {
    server_options.log = [&io](const std::string& line) { io.err << line << '\n' << std::flush; };
  }
  serve::Server server(engine, tokenizer, server_options);
  io.out << str("serving ", server_options.model, " at http://", server_options.http.host, ":",
                server.port(), "/v1 (context ", engine.context_tokens(), " tokens, ",
                options.kv_gib, " GiB for keys and values)\n")
         << std::flush;
  if (server_options.api_keys.empty() && server_options.http.host != "127.0.0.1" &&
      server_options.http.host != "::1") {
    io.err << "corral: everybody who reaches this address may ask: --api-key KEY closes it\n"
           << std::flush;
  }
  while (!interrupt.requested()) std::this_thread::sleep_for(std::chrono::milliseconds(50));
  if (!server.drain(milliseconds(options.drain_s))) {
    io.err << "corral: some requests were not answered in time\n" << std::flush;
  }
}

void add_limits(CLI::App& command, ServeOptions& options) {
  engine::SchedulerOptions& engine = options.engine;
  serve::HttpOptions& http = options.server.http;
  command.add_option("--kv-gib", options.kv_gib, "memory for keys and values, in GiB")
      ->check(CLI::Range(0.0001, 1e6))
      ->capture_default_str();
  command
      .add_option("--context", engine.context_tokens,
                  "longest prompt with answer, in tokens (default: what model and memory allow)")
      ->check(CLI::Range(int64_t{2}, int64_t{1} << 40));
  command.add_option("--max-running", engine.max_running, "answers that grow at the same time")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 16))
      ->capture_default_str();
  command.add_option("--max-waiting", engine.max_waiting, "requests that wait; more get 429")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 20))
      ->capture_default_str();
  command.add_option("--step-tokens", engine.step_tokens, "most tokens of one pass")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 16))
      ->capture_default_str();
  command
      .add_option("--step-seconds", engine.step_seconds,
                  "what a pass should not exceed while answers grow")
      ->check(CLI::Range(0.001, 3600.0))
      ->capture_default_str();
  command.add_option("--max-connections", http.max_connections, "open connections")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 20))
      ->capture_default_str();
  command.add_option("--max-body-mib", options.max_body_mib, "largest request, in MiB")
      ->check(CLI::Range(0.001, 1e5))
      ->capture_default_str();
  command.add_option("--read-timeout", options.read_timeout_s, "seconds to send a request in")
      ->check(CLI::Range(0.1, 86400.0))
      ->capture_default_str();
  command
      .add_option("--write-timeout", options.write_timeout_s,
                  "seconds in which a client must take a piece of an answer")
      ->check(CLI::Range(0.1, 86400.0))
      ->capture_default_str();
  command
      .add_option("--drain-seconds", options.drain_s,
                  "how long running answers may go on after SIGTERM")
      ->check(CLI::Range(0.0, 86400.0))
      ->capture_default_str();
}

}  // namespace

void add_serve_command(CLI::App& app, Io& io) {
  auto options = std::make_shared<ServeOptions>();
  CLI::App* command = app.add_subcommand("serve", "answer requests in the form of OpenAI's API");
  command->add_option("model", options->model, kModelHelp)->required();
  command->add_option("--host", options->server.http.host, "address to listen on")
      ->capture_default_str();
  command->add_option("--port", options->server.http.port, "0: any free one")
      ->check(CLI::Range(0, 65535))
      ->capture_default_str();
  command->add_option("--api-key", options->server.api_keys,
                      "a key that clients must send; may be given again");
  command->add_option("--searxng", options->server.searxng,
                      "address of a SearXNG server: lets the chat page search the web");
  command->add_option("--name", options->server.model, "what clients call the model");
  command->add_flag("--no-prefix-cache", options->no_prefix_cache,
                    "compute every prompt from its beginning");
  command->add_flag("--quiet", options->quiet, "no line for each request");
  add_limits(*command, *options);
  add_precision(*command, options->precision);
  options->kv_types.add_to(*command);
  options->machine.add_to(*command);
  command->footer(
      "Examples:\n"
      "  corral serve llama-scout-mini\n"
      "  corral serve model.gguf --host 0.0.0.0 --api-key \"$KEY\" --kv-gib 8");
  command->callback([options, &io] { serve_model(*options, io); });
}

}  // namespace corral::cli
