#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <string>
#include <vector>

namespace corral::cli {

/// A TOML file whose keys are the options of a command, without dashes before them and with _ or -
/// between words; flags are true or false, options that may be given again are lists.
struct TomlOptions {
  /// Of the file's head, as arguments of a command line: "--host=127.0.0.1".
  std::vector<std::string> arguments;
  /// The same of each [[model]].
  std::vector<std::vector<std::string>> models;
};

/// Throws IoError; CorruptFile naming the line, for what is neither a key with a value nor a
/// [[model]].
TomlOptions read_toml_options(const std::filesystem::path& path);

/// Parses the arguments with the options of `app`, less those that `given` (may be null) was given
/// on the command line. Throws UsageError, beginning with `what`.
void parse_toml_options(CLI::App& app, const std::vector<std::string>& arguments,
                        const CLI::App* given, const std::string& what);

}  // namespace corral::cli
