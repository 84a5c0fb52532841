#include "train/recipe.h"

#include <toml++/toml.h>

#include <algorithm>
#include <sstream>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "io/names.h"
#include "train/recipe_fields.h"

namespace corral::train {
namespace {

constexpr int64_t kMaxRecipeBytes = int64_t{1} << 20;

/// Reads one table of the file; complains about the keys that nobody asked for.
class TableReader {
 public:
  TableReader(const toml::table& table, const std::string& what, std::string section)
      : table_(table), what_(what), section_(std::move(section)) {}

  void field(std::string_view key, std::string& value) {
    if (const toml::node* node = find(key)) value = need<std::string>(key, *node, "a string");
  }
  void field(std::string_view key, bool& value) {
    if (const toml::node* node = find(key)) value = need<bool>(key, *node, "true or false");
  }
  void field(std::string_view key, uint64_t& value) {
    const toml::node* node = find(key);
    if (node == nullptr) return;
    const auto number = need<int64_t>(key, *node, "a whole number");
    if (number < 0) fail(key, *node, "0 or more");
    value = static_cast<uint64_t>(number);
  }
  void field(std::string_view key, int64_t& value, const Range<int64_t>& range) {
    const toml::node* node = find(key);
    if (node == nullptr) return;
    value = need<int64_t>(key, *node, "a whole number");
    if (value < range.least || value > range.most) {
      fail(key, *node, str(range.least, " to ", range.most));
    }
  }
  void field(std::string_view key, double& value, const Range<double>& range) {
    const toml::node* node = find(key);
    if (node == nullptr) return;
    if (!node->is_number()) fail(key, *node, "a number");
    value = *node->value<double>();
    if (!(value >= range.least && value <= range.most)) {
      fail(key, *node, str(range.least, " to ", range.most));
    }
  }
  /// One string or a list of them.
  void field(std::string_view key, std::vector<std::string>& values) {
    const toml::node* node = find(key);
    if (node == nullptr) return;
    values.clear();
    if (const toml::array* array = node->as_array()) {
      for (const toml::node& item : *array) {
        values.push_back(need<std::string>(key, item, "a string"));
      }
    } else {
      values.push_back(need<std::string>(key, *node, "a string or a list of strings"));
    }
  }
  template <class Enum, size_t N>
  void choice(std::string_view key, Enum& value, const Choices<Enum, N>& choices) {
    const toml::node* node = find(key);
    if (node == nullptr) return;
    const auto name = need<std::string>(key, *node, "a string");
    std::string known;
    for (const auto& entry : choices) {
      if (entry.first == name) {
        value = entry.second;
        return;
      }
      known += str(known.empty() ? "" : ", ", '"', entry.first, '"');
    }
    fail(key, *node, "one of " + known);
  }
  template <class Fields>
  void table(std::string_view key, Fields& fields) {
    const toml::node* node = find(key);
    if (node == nullptr) return;
    const toml::table* inner = node->as_table();
    if (inner == nullptr) fail(key, *node, str("a table: [", path(key), "]"));
    read(*inner, path(key), fields);
  }
  template <class Fields>
  void tables(std::string_view key, std::vector<Fields>& list) {
    const toml::node* node = find(key);
    if (node == nullptr) return;
    const toml::array* array = node->as_array();
    if (array == nullptr) fail(key, *node, str("a list of tables: [[", path(key), "]]"));
    list.clear();
    for (const toml::node& item : *array) {
      const toml::table* inner = item.as_table();
      if (inner == nullptr) fail(key, item, str("a list of tables: [[", path(key), "]]"));
      read(*inner, path(key), list.emplace_back());
    }
  }

  void refuse_unknown_keys() const {
    for (const auto& entry : table_) {
      const std::string_view key = entry.first.str();
      if (std::find(known_.begin(), known_.end(), key) != known_.end()) continue;
      const std::string_view nearest = io::nearest_name(key, known_);
      throw UsageError(str(place(entry.second), ": unknown key ", io::show_name(path(key)),
                           nearest.empty() ? "" : str(", did you mean '", path(nearest), "'?")));
    }
  }

 private:
  template <class Fields>
  void read(const toml::table& inner, std::string section, Fields& fields) const {
    TableReader reader(inner, what_, std::move(section));
    visit_fields(reader, fields);
    reader.refuse_unknown_keys();
  }

  const toml::node* find(std::string_view key) {
    known_.push_back(key);
    return table_.get(key);
  }
  std::string path(std::string_view key) const {
    return section_.empty() ? std::string(key) : section_ + "." + std::string(key);
  }
  std::string place(const toml::node& node) const {
    return str(what_, ":", node.source().begin.line);
  }
  template <class T>
  T need(std::string_view key, const toml::node& node, std::string_view expected) const {
    const std::optional<T> value = node.value_exact<T>();
    if (!value) fail(key, node, std::string(expected));
    return *value;
  }
  [[noreturn]] void fail(std::string_view key, const toml::node& node,
                         const std::string& expected) const {
    std::string found;
    node.visit([&](const auto& value) {
      std::ostringstream out;
      if constexpr (toml::is_value<decltype(value)>) out << value;
      found = out.str();
    });
    throw UsageError(str(place(node), ": ", path(key),
                         found.empty() ? "" : " is " + found.substr(0, 60), ", needs ", expected));
  }

  const toml::table& table_;
  const std::string& what_;
  std::string section_;
  std::vector<std::string_view> known_;
};

std::string quoted(const std::string& text) {
  std::ostringstream out;
  out << toml::value<std::string>(text);
  return out.str();
}

/// Writes tables in the order of the list of fields.
class TableWriter {
 public:
  explicit TableWriter(std::ostream& out, std::string section = "")
      : out_(out), section_(std::move(section)) {}

  void field(std::string_view key, const std::string& value) { line(key, quoted(value)); }
  void field(std::string_view key, bool value) { line(key, value ? "true" : "false"); }
  void field(std::string_view key, uint64_t value) { line(key, std::to_string(value)); }
  void field(std::string_view key, int64_t value, const Range<int64_t>&) {
    line(key, std::to_string(value));
  }
  void field(std::string_view key, double value, const Range<double>&) {
    std::ostringstream out;
    out << toml::value<double>(value);
    line(key, out.str());
  }
  void field(std::string_view key, const std::vector<std::string>& values) {
    std::string list;
    for (const std::string& value : values) list += (list.empty() ? "" : ", ") + quoted(value);
    line(key, "[" + list + "]");
  }
  template <class Enum, size_t N>
  void choice(std::string_view key, Enum value, const Choices<Enum, N>& choices) {
    for (const auto& entry : choices) {
      if (entry.second == value) line(key, quoted(std::string(entry.first)));
    }
  }
  template <class Fields>
  void table(std::string_view key, Fields& fields) {
    write("\n[", "]\n", key, fields);
  }
  template <class Fields>
  void tables(std::string_view key, std::vector<Fields>& list) {
    for (Fields& fields : list) write("\n[[", "]]\n", key, fields);
  }

 private:
  template <class Fields>
  void write(const char* open, const char* close, std::string_view key, Fields& fields) {
    const std::string path = (section_.empty() ? "" : section_ + ".") + std::string(key);
    out_ << open << path << close;
    TableWriter inner(out_, path);
    visit_fields(inner, fields);
  }
  void line(std::string_view key, const std::string& value) {
    out_ << key << " = " << value << '\n';
  }

  std::ostream& out_;
  std::string section_;
};

void check_sources(const std::vector<DataRecipe>& sources, const std::string& what) {
  const auto weighted = std::count_if(sources.begin(), sources.end(),
                                      [](const DataRecipe& s) { return s.weight > 0; });
  if (weighted != 0 && weighted != static_cast<std::ptrdiff_t>(sources.size())) {
    throw UsageError(what + ": either all [[data]] have a weight or none has");
  }
  for (const DataRecipe& source : sources) {
    if (source.files.empty()) throw UsageError(what + ": a [[data]] has no path");
    if (source.weight > 0 && source.repeat != 1) {
      throw UsageError(what + ": a [[data]] has a repeat or a weight, not both");
    }
  }
}

void check(const Recipe& r, const std::string& what) {
  if (r.objective != "pretrain") {
    throw UsageError(str(what, ": objective is ", quoted(r.objective), ", needs \"pretrain\""));
  }
  const int shapes = (r.model.preset.empty() ? 0 : 1) + (r.model.config.empty() ? 0 : 1) +
                     (r.model.init_from.empty() ? 0 : 1);
  if (shapes != 1) {
    throw UsageError(what + ": [model] needs exactly one of preset, config and init_from");
  }
  if (r.tokenizer.path.empty() == (r.tokenizer.vocab_size == 0)) {
    throw UsageError(what + ": [tokenizer] needs either path or vocab_size");
  }
  if (r.data.empty()) throw UsageError(what + ": no [[data]] to train on");
  check_sources(r.data, what);
  check_sources(r.validation.data, what);
  if (r.batch.micro_batch_tokens > r.batch.tokens) {
    throw UsageError(str(what, ": batch.micro_batch_tokens is ", r.batch.micro_batch_tokens,
                         ", more than batch.tokens, ", r.batch.tokens));
  }
}

/// `*` stands for any run of characters.
bool matches(std::string_view pattern, std::string_view name) {
  const size_t star = pattern.find('*');
  if (star == pattern.npos) return pattern == name;
  if (!name.starts_with(pattern.substr(0, star))) return false;
  const std::string_view rest = pattern.substr(star + 1);
  for (size_t skip = star; skip <= name.size(); ++skip) {
    if (matches(rest, name.substr(skip))) return true;
  }
  return false;
}

}  // namespace

Recipe parse_recipe(const std::string& text, const std::string& what) {
  Recipe recipe;
  try {
    const toml::table table = toml::parse(text, what);
    TableReader reader(table, what, "");
    visit_fields(reader, recipe);
    reader.refuse_unknown_keys();
  } catch (const toml::parse_error& error) {
    throw UsageError(str(what, ":", error.source().begin.line, ": ", error.description()));
  }
  check(recipe, what);
  return recipe;
}

Recipe read_recipe(const std::filesystem::path& path) {
  Recipe recipe = parse_recipe(read_file(path, kMaxRecipeBytes), path.string());
  recipe.folder = std::filesystem::absolute(path).parent_path();
  if (recipe.name.empty()) recipe.name = path.stem().string();
  return recipe;
}

std::string to_toml(const Recipe& recipe) {
  std::ostringstream out;
  Recipe copy = recipe;
  TableWriter writer(out);
  visit_fields(writer, copy);
  return std::move(out).str();
}

std::filesystem::path recipe_path(const Recipe& recipe, const std::string& path) {
  return (recipe.folder / path).lexically_normal();
}

std::filesystem::path data_path(const Recipe& recipe, const std::string& path) {
  return (recipe.folder / recipe.data_root / path).lexically_normal();
}

std::vector<std::filesystem::path> data_files(const Recipe& recipe, const DataRecipe& source) {
  std::vector<std::filesystem::path> files;
  for (const std::string& written : source.files) {
    const std::filesystem::path path = data_path(recipe, written);
    const std::string pattern = path.filename().string();
    if (pattern.find('*') == pattern.npos) {
      files.push_back(path);
      continue;
    }
    std::vector<std::filesystem::path> found;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(path.parent_path(), error)) {
      if (matches(pattern, entry.path().filename().string())) found.push_back(entry.path());
    }
    if (found.empty()) throw UsageError(str("no file matches ", path.string()));
    std::sort(found.begin(), found.end());
    files.insert(files.end(), found.begin(), found.end());
  }
  return files;
}

}  // namespace corral::train
