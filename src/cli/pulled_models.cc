#include "cli/pulled_models.h"

#include "base/error.h"
#include "cli/environment.h"
#include "hub/pull.h"

namespace corral::cli {
namespace {

namespace fs = std::filesystem;

/// One that can be loaded: not a projector, not a later part of a split model.
bool is_gguf_model(const fs::path& path) {
  const std::string name = path.filename().string();
  const size_t part = name.find("-of-");
  const bool later_part = part != name.npos && part >= 5 && name.substr(part - 5, 5) != "00001";
  return name.ends_with(".gguf") && name.find("mmproj") == name.npos && !later_part;
}

void add_models_of(const fs::path& folder, const std::string& name,
                   std::vector<ListedModel>& models) {
  std::error_code error;
  if (!fs::exists(folder / hub::kPullRecord, error)) return;
  if (fs::exists(folder / "config.json", error)) models.push_back({name, folder});
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder, error)) {
    if (is_gguf_model(entry.path())) files.push_back(entry.path());
  }
  for (const fs::path& file : files) {
    const bool only_one = files.size() == 1 && !fs::exists(folder / "config.json", error);
    models.push_back({only_one ? name : name + "/" + file.stem().string(), file});
  }
}

}  // namespace

fs::path pulled_models_folder() {
  if (const auto folder = environment("CORRAL_MODELS"); !folder.empty()) return folder;
  return cache_folder() / "models";
}

std::vector<ListedModel> pulled_models() {
  std::vector<ListedModel> models;
  fs::path folder;
  try {
    folder = pulled_models_folder();
  } catch (const UsageError&) {
    return models;
  }
  std::error_code error;
  for (const auto& owner : fs::directory_iterator(folder, error)) {
    const std::string name = owner.path().filename().string();
    add_models_of(owner.path(), name, models);
    for (const auto& repo : fs::directory_iterator(owner.path(), error)) {
      if (!repo.is_directory(error)) continue;
      add_models_of(repo.path(), name + "/" + repo.path().filename().string(), models);
    }
  }
  return models;
}

}  // namespace corral::cli
