#include "serve/keys.h"

#include <algorithm>
#include <memory>

#include "base/error.h"
#include "cli/commands.h"

namespace corral::cli {
namespace {

struct KeysOptions {
  std::string file;
  std::string name;
  serve::QuotaLimits limits;
};

void add_key(const KeysOptions& options, Io& io) {
  auto keys = serve::read_keys(options.file);
  for (const serve::StoredKey& key : keys) {
    if (key.name == options.name)
      throw UsageError(str("there is a key called '", options.name, "'"));
  }
  serve::NewKey made = serve::make_key(options.name, options.limits);
  keys.push_back(std::move(made.stored));
  serve::write_keys(options.file, keys);
  io.out << made.text << '\n';
  io.err << "corral: keep it well: it is not written down anywhere else\n";
}

void list_keys(const KeysOptions& options, Io& io) {
  for (const serve::StoredKey& key : serve::read_keys(options.file)) {
    io.out << key.name;
    if (key.limits.requests_per_minute > 0) {
      io.out << ", " << key.limits.requests_per_minute << " requests a minute";
    }
    if (key.limits.tokens_per_minute > 0) {
      io.out << ", " << key.limits.tokens_per_minute << " tokens a minute";
    }
    io.out << '\n';
  }
}

void remove_key(const KeysOptions& options) {
  auto keys = serve::read_keys(options.file);
  if (std::erase_if(keys, [&](const auto& key) { return key.name == options.name; }) == 0) {
    throw UsageError(str("there is no key called '", options.name, "'"));
  }
  serve::write_keys(options.file, keys);
}

}  // namespace

void add_keys_command(CLI::App& app, Io& io) {
  auto options = std::make_shared<KeysOptions>();
  CLI::App* command = app.add_subcommand("keys", "API keys of `corral serve --api-key-file FILE`");
  command->require_subcommand(1);
  const auto action = [&](const char* name, const char* help) {
    CLI::App* sub = command->add_subcommand(name, help);
    sub->add_option("file", options->file, "file of the keys' hashes")->required();
    return sub;
  };
  const auto per_minute = CLI::Range(int64_t{1}, int64_t{1} << 40);
  CLI::App* add = action("add", "make a key and print it, once");
  add->add_option("name", options->name, "whose it is")->required();
  add->add_option("--requests-per-minute", options->limits.requests_per_minute, "quota")
      ->check(per_minute);
  add->add_option("--tokens-per-minute", options->limits.tokens_per_minute,
                  "quota of prompts and answers together")
      ->check(per_minute);
  add->callback([options, &io] { add_key(*options, io); });
  CLI::App* list = action("list", "names and quotas");
  list->callback([options, &io] { list_keys(*options, io); });
  CLI::App* remove = action("remove", "a running server forgets it within a second");
  remove->add_option("name", options->name, "whose it is")->required();
  remove->callback([options] { remove_key(*options); });
  command->footer(
      "Examples:\n"
      "  corral keys add keys.json alice --requests-per-minute 60\n"
      "  corral serve model.gguf --api-key-file keys.json");
}

}  // namespace corral::cli
