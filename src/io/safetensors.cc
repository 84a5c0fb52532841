#include "io/safetensors.h"

#include <algorithm>
#include <set>
#include <system_error>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "io/names.h"

namespace corral::io {
namespace {

namespace fs = std::filesystem;

// Three times the index of a model of a hundred thousand tensors. A JSON tree of this much text can
// take twenty times as much memory.
constexpr int64_t kMaxIndexBytes = 32'000'000;

using Shards = std::vector<std::unique_ptr<SafetensorsFile>>;

/// Several files as one source.
class ShardedSafetensors final : public WeightSource {
 public:
  ShardedSafetensors(std::string origin, std::vector<TensorInfo> tensors, Shards shards,
                     std::vector<size_t> shard_of)
      : WeightSource(std::move(origin), std::move(tensors)),
        shards_(std::move(shards)),
        shard_of_(std::move(shard_of)) {}

  void forget_pages() const override {
    for (const auto& shard : shards_) shard->forget_pages();
  }

 private:
  Tensor read(size_t index, const DevicePtr& device) const override {
    return shards_[shard_of_[index]]->get(tensors()[index].name, device);
  }

  Shards shards_;
  std::vector<size_t> shard_of_;
};

/// Tensor name to file name, checked to be a map of strings.
std::map<std::string, std::string> read_weight_map(const fs::path& index) {
  const Json json = parse_json(read_file(index, kMaxIndexBytes), index.string());
  const auto weight_map = json.is_object() ? json.find("weight_map") : json.end();
  if (weight_map == json.end() || !weight_map->is_object()) {
    throw CorruptFile(str(index.string(), ": has no object 'weight_map'"));
  }
  std::map<std::string, std::string> files;
  for (const auto& item : weight_map->items()) {
    const std::string* file = item.value().get_ptr<const std::string*>();
    if (file == nullptr) {
      throw CorruptFile(
          str(index.string(), ": the file of ", show_name(item.key()), " is no string"));
    }
    // A shard lies beside its index; anything else could make us read files of other people.
    const fs::path name(*file);
    if (file->empty() || file->find('\0') != file->npos || name.filename() != name ||
        name == ".." || name == ".") {
      throw CorruptFile(str(index.string(), ": ", show_name(*file), " is not the name of a shard"));
    }
    files[item.key()] = *file;
  }
  return files;
}

std::unique_ptr<SafetensorsFile> open_shard(const fs::path& path, const fs::path& index) {
  std::error_code ignored;
  if (!fs::exists(path, ignored)) {
    throw IoError(str(path.string(), ": missing, but ", index.filename().string(),
                      " names it: the download or the copy is not complete"));
  }
  return std::make_unique<SafetensorsFile>(path);
}

std::unique_ptr<WeightSource> open_index(const fs::path& folder, const fs::path& index) {
  const auto weight_map = read_weight_map(index);
  std::set<std::string> names;
  for (const auto& entry : weight_map) names.insert(entry.second);

  Shards shards;
  std::vector<TensorInfo> tensors;
  std::vector<size_t> shard_of;
  std::map<std::string_view, size_t> seen;  // keys point into the shards' own lists
  for (const std::string& name : names) {
    shards.push_back(open_shard(folder / name, index));
    for (const TensorInfo& tensor : shards.back()->tensors()) {
      const auto [at, inserted] = seen.try_emplace(tensor.name, shards.size() - 1);
      if (!inserted) {
        throw CorruptFile(str(shards.back()->origin(), ": tensor ", show_name(tensor.name),
                              " is also in ", shards[at->second]->origin()));
      }
      tensors.push_back(tensor);
      shard_of.push_back(shards.size() - 1);
    }
  }
  for (const auto& [tensor, file] : weight_map) {
    const auto at = seen.find(tensor);
    if (at == seen.end() || shards[at->second]->origin() != (folder / file).string()) {
      throw CorruptFile(str(index.string(), ": names tensor ", show_name(tensor), " in ", file,
                            ", which lacks it"));
    }
  }
  return std::make_unique<ShardedSafetensors>(folder.string(), std::move(tensors),
                                              std::move(shards), std::move(shard_of));
}

}  // namespace

SafetensorsFile::SafetensorsFile(const fs::path& path) : SafetensorsFile(MappedFile::open(path)) {}

SafetensorsFile::SafetensorsFile(const std::shared_ptr<const MappedFile>& file)
    : SafetensorsFile(file, parse_safetensors(file->bytes(), file->path().string())) {}

SafetensorsFile::SafetensorsFile(std::shared_ptr<const MappedFile> file, SafetensorsHeader header)
    : WeightSource(file->path().string(), std::move(header.tensors)),
      file_(std::move(file)),
      metadata_(std::move(header.metadata)) {}

Tensor SafetensorsFile::read(size_t index, const DevicePtr& device) const {
  return map_tensor(file_, tensors()[index], device);
}

std::unique_ptr<WeightSource> open_sharded(const fs::path& folder) {
  std::error_code ignored;
  const fs::path single = folder / kSafetensorsName;
  if (fs::exists(single, ignored)) return std::make_unique<SafetensorsFile>(single);
  const fs::path index = folder / kSafetensorsIndexName;
  if (fs::exists(index, ignored)) return open_index(folder, index);
  throw IoError(
      str(folder.string(), ": has neither ", kSafetensorsName, " nor ", kSafetensorsIndexName));
}

}  // namespace corral::io
