#include "cli/toml_options.h"

#include <toml++/toml.h>

#include <algorithm>
#include <sstream>
#include <utility>

#include "base/error.h"
#include "base/file.h"

namespace corral::cli {
namespace {

constexpr int64_t kMaxBytes = int64_t{1} << 20;

[[noreturn]] void fail(const std::filesystem::path& path, const toml::node& node,
                       const std::string& why) {
  throw CorruptFile(str(path.string(), ":", node.source().begin.line, ": ", why));
}

std::string text_of(const std::filesystem::path& path, std::string_view key,
                    const toml::node& node) {
  if (const auto* text = node.as_string()) return text->get();
  if (const auto* flag = node.as_boolean()) return flag->get() ? "true" : "false";
  if (node.is_number()) {
    std::ostringstream out;
    if (const auto* whole = node.as_integer()) {
      out << whole->get();
    } else {
      out.precision(17);
      out << *node.value<double>();
    }
    return out.str();
  }
  fail(path, node, str(key, " is neither a text, a number, true nor false"));
}

std::vector<std::string> arguments_of(const std::filesystem::path& path, const toml::table& table) {
  std::vector<std::string> arguments;
  for (const auto& [key, node] : table) {
    std::string name(key.str());
    if (name == "model" && node.is_array_of_tables()) continue;
    std::replace(name.begin(), name.end(), '_', '-');
    if (const toml::array* list = node.as_array()) {
      for (const toml::node& item : *list) {
        arguments.push_back(str("--", name, "=", text_of(path, key.str(), item)));
      }
    } else {
      arguments.push_back(str("--", name, "=", text_of(path, key.str(), node)));
    }
  }
  return arguments;
}

}  // namespace

TomlOptions read_toml_options(const std::filesystem::path& path) {
  toml::table table;
  try {
    table = toml::parse(read_file(path, kMaxBytes), path.string());
  } catch (const toml::parse_error& error) {
    throw CorruptFile(
        str(path.string(), ":", error.source().begin.line, ": ", error.description()));
  }
  TomlOptions options;
  options.arguments = arguments_of(path, table);
  const toml::array* models = table["model"].as_array();
  if (models == nullptr) return options;
  for (const toml::node& model : *models) {
    const toml::table* entry = model.as_table();
    if (entry == nullptr) fail(path, model, "model is no [[model]]");
    options.models.push_back(arguments_of(path, *entry));
  }
  return options;
}

void parse_toml_options(CLI::App& app, const std::vector<std::string>& arguments,
                        const CLI::App* given, const std::string& what) {
  std::vector<std::string> last_first;
  for (const std::string& argument : arguments) {
    const std::string name = argument.substr(0, argument.find('='));
    const CLI::Option* on_line = given == nullptr ? nullptr : given->get_option_no_throw(name);
    if (on_line == nullptr || on_line->count() == 0) last_first.push_back(argument);
  }
  std::reverse(last_first.begin(), last_first.end());
  try {
    app.parse(std::move(last_first));
  } catch (const CLI::ParseError& error) {
    std::string why = error.what();
    why.erase(std::remove(why.begin(), why.end(), '\n'), why.end());
    throw UsageError(str(what, ": ", why));
  }
}

}  // namespace corral::cli
