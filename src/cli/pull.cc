#include "hub/pull.h"

#include <memory>

#include "base/error.h"
#include "base/progress.h"
#include "cli/commands.h"
#include "cli/environment.h"
#include "cli/interrupt.h"
#include "cli/pulled_models.h"
#include "hub/hub_errors.h"

namespace corral::cli {
namespace {

constexpr double kMegabyte = 1e6;

struct PullCommandOptions {
  hub::PullOptions pull;
  std::string to;
};

void pull(const PullCommandOptions& given, Io& io) {
  hub::PullOptions options = given.pull;
  if (options.hub.empty()) options.hub = environment("HF_ENDPOINT");
  if (options.hub.empty()) options.hub = hub::kDefaultHub;
  options.token = environment("HF_TOKEN");
  options.folder =
      given.to.empty() ? pulled_models_folder() / options.repo : std::filesystem::path(given.to);
  const Interrupt interrupt;
  options.cancel = &interrupt.flag();
  Progress progress(io.err, io.terminal, "downloading", 0, "MB");
  options.progress = [&](int64_t done, int64_t total, const std::string& note) {
    progress.set_total(static_cast<double>(total) / kMegabyte);
    progress.update(static_cast<double>(done) / kMegabyte, note);
  };
  try {
    const hub::PulledModel pulled = hub::pull(options);
    progress.finish();
    io.out << options.repo << ": " << pulled.files.size() << " files, " << pulled.bytes
           << " bytes, of which " << pulled.fetched_bytes << " were fetched now, in "
           << options.folder.string() << '\n';
  } catch (const hub::Cancelled&) {
    progress.finish();
    throw Error("stopped; the same command goes on from here");
  }
}

}  // namespace

void add_pull_command(CLI::App& app, Io& io) {
  auto options = std::make_shared<PullCommandOptions>();
  options->pull.hub.clear();
  CLI::App* command = app.add_subcommand("pull", "download a model from a Hugging Face hub");
  command->add_option("repo", options->pull.repo, "OWNER/NAME")->required();
  command->add_option("--revision", options->pull.revision, "branch, tag or commit")
      ->capture_default_str();
  command->add_option("--include", options->pull.include,
                      "only files that match: * any characters, ? one; may be given again");
  command->add_option("--to", options->to,
                      "folder for the files (default: OWNER/NAME in the models folder)");
  command->add_option("--hub", options->pull.hub,
                      "base address of the hub (default: $HF_ENDPOINT, else "
                      "https://huggingface.co)");
  command->add_option("--connections", options->pull.connections, "connections at once")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  command->footer(
      "Files come in parts over several connections and get their name when their hash is right.\n"
      "Interrupted, even killed, the same command goes on where it was. Without --include, copies\n"
      "of the weights in other forms (original/, *.bin, *.pth) are left out where there are\n"
      "safetensors. A token for private or gated models is taken from $HF_TOKEN; it is sent to "
      "the\n"
      "hub alone, by https or to this machine.\n"
      "The models folder is $CORRAL_MODELS, else $XDG_CACHE_HOME/corral/models, else\n"
      "~/.cache/corral/models; its models are in `corral list` and can be named OWNER/NAME.\n"
      "Examples:\n"
      "  corral pull meta-llama/Llama-4-Scout-17B-16E-Instruct\n"
      "  corral pull OWNER/SOME-GGUF --include '*Q4_K_M*' --include 'mmproj*'\n"
      "  HF_ENDPOINT=https://hub.example.org corral pull OWNER/NAME --revision v1.0 --to model");
  command->callback([options, &io] { pull(*options, io); });
}

}  // namespace corral::cli
