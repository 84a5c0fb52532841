#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "base/error.h"
#include "cli/commands.h"
#include "cli/common.h"
#include "cli/interrupt.h"
#include "cli/served_model.h"
#include "cli/toml_options.h"
#include "serve/server.h"

namespace corral::cli {
namespace {

constexpr double kAnyGib = 1e6;

struct ServeOptions {
  ServedModel model;
  std::string config;
  serve::ServerOptions server;
  MachineOptions machine;
  double memory_gib = kAnyGib;
  double max_body_mib = 64;
  double max_image_mib = 20;
  double max_image_mpixels = 50;
  double max_bodies_mib = 1024;
  double response_mib = 64;
  std::string image_folder;
  std::string api_key_file;
  std::string slot_save_path;
  double slot_save_gib = 16;
  ServedModel guard;
  std::string guard_check = "both";
  std::string guard_prompt;
  double read_timeout_s = 30;
  double write_timeout_s = 30;
  double drain_s = 30;
  bool quiet = false;

  serve::ServerOptions server_options(Io& io) const;
};

std::chrono::milliseconds milliseconds(double seconds) {
  return std::chrono::milliseconds(static_cast<int64_t>(seconds * 1000));
}

/// For those who are told what does not work while the server goes on.
std::function<void(const std::string& message)> said_on(Io& io) {
  return
      [&io](const std::string& message) { io.err << str("corral: ", message, "\n") << std::flush; };
}

serve::ServerOptions ServeOptions::server_options(Io& io) const {
  serve::ServerOptions result = server;
  result.http.max_body_bytes = static_cast<int64_t>(max_body_mib * kMiB);
  result.http.max_bodies_bytes = static_cast<int64_t>(max_bodies_mib * kMiB);
  result.response_bytes = static_cast<int64_t>(response_mib * kMiB);
  result.api_key_file = api_key_file;
  result.http.read_timeout = milliseconds(read_timeout_s);
  result.http.write_timeout = milliseconds(write_timeout_s);
  result.media.max_file_bytes = static_cast<int64_t>(max_image_mib * kMiB);
  result.media.max_pixels = static_cast<int64_t>(max_image_mpixels * 1e6);
  result.media.folder = image_folder;
  result.sessions.folder = slot_save_path;
  result.sessions.max_bytes = static_cast<int64_t>(slot_save_gib * 1024 * kMiB);
  result.guard.questions = guard_check != "output";
  result.guard.answers = guard_check != "input";
  result.guard.prompt = guard_prompt;
  result.trouble = said_on(io);
  if (!quiet) {
    result.log = [&io](const std::string& line) { io.err << line << '\n' << std::flush; };
  }
  return result;
}

void add_network(CLI::App& command, ServeOptions& options) {
  serve::HttpOptions& http = options.server.http;
  command.add_option("--host", http.host, "address to listen on")->capture_default_str();
  command.add_option("--port", http.port, "0: any free one")
      ->check(CLI::Range(0, 65535))
      ->capture_default_str();
  command.add_option("--api-key", options.server.api_keys,
                     "a key that clients must send; may be given again");
  command.add_option("--api-key-file", options.api_key_file,
                     "file of keys and their quotas, as `corral keys` writes it");
  command.add_option("--searxng", options.server.searxng,
                     "address of a SearXNG server: lets the chat page search the web");
  command.add_option("--tls-cert", http.tls_certificate, "PEM file of a certificate chain: TLS");
  command.add_option("--tls-key", http.tls_key, "PEM file of its key");
  command.add_option("--cors-origin", http.cors_origins,
                     "https://HOST whose pages may use the server, or *; may be given again");
  command.add_option("--allow-host", options.server.hosts,
                     "name under which this server may be asked; may be given again");
  command.add_option("--max-connections", http.max_connections, "open connections")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 20))
      ->capture_default_str();
  command.add_option("--max-body-mib", options.max_body_mib, "largest request, in MiB")
      ->check(CLI::Range(0.001, 1e5))
      ->capture_default_str();
  command
      .add_option("--max-bodies-mib", options.max_bodies_mib,
                  "of all requests that are being answered, in MiB")
      ->check(CLI::Range(0.001, 1e6))
      ->capture_default_str();
  command
      .add_option("--response-mib", options.response_mib,
                  "memory for responses that later ones go on from, in MiB")
      ->check(CLI::Range(0.0, 1e6))
      ->capture_default_str();
  command.add_option("--slot-save-path", options.slot_save_path,
                     "folder in which clients may save sessions (POST /slots/ID?action=save)");
  command
      .add_option("--slot-save-gib", options.slot_save_gib, "most that saved sessions take, in GiB")
      ->check(CLI::Range(0.0, 1e6))
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
  command.add_flag("--quiet", options.quiet, "no line for each request");
}

void add_pictures(CLI::App& command, ServeOptions& options) {
  serve::MediaOptions& media = options.server.media;
  command
      .add_option("--max-images", media.max_images, "pictures of a request, frames of videos too")
      ->check(CLI::Range(int64_t{0}, int64_t{256}))
      ->capture_default_str();
  command.add_option("--max-image-mib", options.max_image_mib, "largest picture file, in MiB")
      ->check(CLI::Range(0.001, 4096.0))
      ->capture_default_str();
  command
      .add_option("--max-image-mpixels", options.max_image_mpixels,
                  "largest picture, in megapixels")
      ->check(CLI::Range(0.001, 1000.0))
      ->capture_default_str();
  command.add_flag("--allow-image-urls", media.allow_urls,
                   "fetch pictures that requests name by http(s) URL, from public addresses only");
  command.add_option("--image-folder", options.image_folder,
                     "folder whose pictures requests may name by file: URL");
}

void add_guard(CLI::App& command, ServeOptions& options) {
  command.add_option("--guard-model", options.guard.path,
                     "a model such as Llama Guard that judges questions and answers");
  command
      .add_option("--guard-check", options.guard_check,
                  "what it judges; answers that it judges are sent when they are whole")
      ->check(CLI::IsMember({"both", "input", "output"}))
      ->capture_default_str();
  command.add_option("--guard-prompt", options.guard_prompt,
                     "file with what it is asked, with {conversation} and {role} in it");
}

// Everything that does not belong to one model.
void add_server(CLI::App& command, ServeOptions& options) {
  add_network(command, options);
  add_pictures(command, options);
  add_guard(command, options);
  command
      .add_option("--memory-gib", options.memory_gib,
                  "memory of all open models together, in GiB; the one used longest ago is closed")
      ->check(CLI::Range(0.001, kAnyGib));
  options.machine.add_to(command);
}

// The models of the config and of the command line, the latter first; the guard model, which is
// none of them, goes into the options.
std::vector<serve::ShelfEntry> entries(ServeOptions& options, const CLI::App& command, Io& io) {
  std::vector<ServedModel> models;
  if (!options.model.path.empty()) models.push_back(options.model);
  if (!options.config.empty()) {
    const TomlOptions config = read_toml_options(options.config);
    CLI::App head;
    add_server(head, options);
    parse_toml_options(head, config.arguments, &command, options.config);
    for (const auto& arguments : config.models) {
      ServedModel model;
      CLI::App table;
      table.add_option("--path", model.path)->required();
      table.add_flag("--preload", model.preload);
      model.add_to(table);
      parse_toml_options(table, arguments, nullptr,
                         str(options.config, ": model ", models.size() + 1));
      models.push_back(model);
    }
  }
  if (models.empty()) throw UsageError("no model: name one, or a --config with a [[model]]");
  if (models.size() == 1) models.front().preload = true;
  const DevicePtr device = options.machine.device(models.front().path);
  if (!options.guard.path.empty()) options.server.guard.model = options.guard.entry(device);
  std::vector<serve::ShelfEntry> result;
  for (ServedModel& model : models) {
    model.engine.trouble = said_on(io);
    result.push_back(model.entry(device));
  }
  return result;
}

void announce(const serve::ServerOptions& server, int port, const serve::Shelf& shelf, Io& io) {
  std::string names;
  const auto list = shelf.list();
  for (const auto& model : list["data"]) {
    names += (names.empty() ? "" : ", ") + model["id"].get<std::string>();
    if (model.contains("max_model_len")) {
      names += str(" (context ", model["max_model_len"].get<int64_t>(), " tokens)");
    }
  }
  io.out << str("serving ", names, " at ", server.http.tls_certificate.empty() ? "http" : "https",
                "://", server.http.host, ":", port, "/v1\n")
         << std::flush;
  const bool keys = !server.api_keys.empty() || !server.api_key_file.empty();
  if (!keys && server.http.host != "127.0.0.1" && server.http.host != "::1") {
    io.err << "corral: everybody who reaches this address may ask: --api-key KEY closes it\n"
           << std::flush;
  }
}

void serve_models(ServeOptions& options, const CLI::App& command, Io& io) {
  const Interrupt interrupt;
  auto models = entries(options, command, io);
  serve::Shelf shelf(std::move(models), static_cast<int64_t>(options.memory_gib * 1024 * kMiB));
  const serve::ServerOptions server_options = options.server_options(io);
  serve::Server server(shelf, server_options);
  announce(server_options, server.port(), shelf, io);
  while (!interrupt.requested()) std::this_thread::sleep_for(std::chrono::milliseconds(50));
  if (!server.drain(milliseconds(options.drain_s))) {
    io.err << "corral: some requests were not answered in time\n" << std::flush;
  }
}

}  // namespace

void add_serve_command(CLI::App& app, Io& io) {
  auto options = std::make_shared<ServeOptions>();
  CLI::App* command =
      app.add_subcommand("serve", "answer requests in the form of OpenAI's and Anthropic's APIs");
  command->add_option("model", options->model.path, kModelHelp);
  command->add_option("--config", options->config, "TOML file with options and several models");
  add_server(*command, *options);
  options->model.add_to(*command);
  command->footer(
      "Examples:\n"
      "  corral serve llama-scout-mini\n"
      "  corral serve model.gguf --host 0.0.0.0 --api-key \"$KEY\" --kv-gib 8\n"
      "  corral serve --config serve.toml");
  command->callback([options, command, &io] { serve_models(*options, *command, io); });
}

}  // namespace corral::cli
