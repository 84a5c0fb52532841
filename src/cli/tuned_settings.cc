#include "cli/tuned_settings.h"

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "base/cpu_topology.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "cli/common.h"
#include "cli/environment.h"

namespace corral::cli {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kMostBytes = 1 << 20;  // of tuned.json
constexpr int kMostThreads = 1024;

fs::path tuned_file() { return cache_folder() / "tuned.json"; }

// The processors' names and which of them may be used: with other ones another number is best.
std::string machine_key() {
  std::string key;
  std::ifstream file(
      "/proc/cpuinfo");  // of no size, as the system says: read_file() finds it empty
  const std::string info((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  constexpr std::string_view kName = "model name\t: ";
  if (const size_t at = info.find(kName); at != info.npos) {
    const size_t begin = at + kName.size();
    key = info.substr(begin, info.find('\n', begin) - begin);
  }
  const std::vector<int> cpus = allowed_cpus();
  for (const int cpu : cpus) key += str(cpu == cpus.front() ? ", processors " : ",", cpu);
  const double quota = read_cpu_topology("/", cpus).quota;
  return quota > 0 ? str(key, ", quota ", quota) : key;
}

// The file as it is now: another file under the same name was not tuned.
std::string model_key(const std::string& model) {
  const fs::path path = fs::canonical(resolve_model(model));
  const fs::path file = fs::is_directory(path) ? path / "config.json" : path;
  const auto changed = fs::last_write_time(file).time_since_epoch().count();
  return str(path.string(), ", ", fs::file_size(file), " bytes, ", changed);
}

// An empty object when there is none, or none that can be read: it is only a cache.
Json read_tuned() {
  try {
    Json json = parse_json(read_file(tuned_file(), kMostBytes), "tuned.json");
    if (json.is_object()) return json;
  } catch (const Error&) {
  }
  return Json::object();
}

void write_tuned(const Json& json) {
  std::error_code said_by_the_file;
  fs::create_directories(tuned_file().parent_path(), said_by_the_file);
  AtomicFile file(tuned_file());
  file.write(json.dump(1) + "\n");
  file.commit();
}

}  // namespace

std::optional<TunedSettings> tuned_settings(const std::string& model) {
  try {
    const Json json = read_tuned();
    const Json found = json.value(machine_key(), Json::object()).value(model_key(model), Json());
    if (!found.is_object() || !found.value("threads", Json()).is_number_integer()) {
      return std::nullopt;
    }
    const auto threads = found["threads"].get<int64_t>();
    if (threads < 1 || threads > kMostThreads) return std::nullopt;
    return TunedSettings{static_cast<int>(threads), found.value("no_mmap", false)};
  } catch (const std::exception&) {  // what is wrong with the model is said where it is opened
    return std::nullopt;
  }
}

void remember_tuned_settings(const std::string& model, const TunedSettings& settings) {
  Json json = read_tuned();
  Json& machine = json[machine_key()];
  if (!machine.is_object()) machine = Json::object();
  machine[model_key(model)] = {{"threads", settings.threads}, {"no_mmap", settings.no_mmap}};
  write_tuned(json);
}

void forget_tuned_settings(const std::string& model) {
  Json json = read_tuned();
  const auto machine = json.find(machine_key());
  if (machine == json.end() || !machine->is_object()) return;
  if (machine->erase(model_key(model)) > 0) write_tuned(json);
}

}  // namespace corral::cli
