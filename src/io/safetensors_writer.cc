#include "io/safetensors_writer.h"

#include <algorithm>
#include <iomanip>
#include <sstream>
#include <system_error>
#include <utility>

#include "base/error.h"
#include "base/json.h"
#include "io/names.h"
#include "io/safetensors.h"
#include "io/safetensors_header.h"

namespace corral::io {
namespace {

namespace fs = std::filesystem;

fs::path created(fs::path folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) throw IoError(str("cannot create ", folder.string(), ": ", error.message()));
  return folder;
}

void check_storable(const fs::path& path, std::string_view name, DType dtype) {
  if (name == "__metadata__") {
    throw Error(str(path.string(), ": no tensor can be named '__metadata__'"));
  }
  if (safetensors_type_name(dtype).empty()) {
    throw NotSupported(str(path.string(), ": tensor ", show_name(name), " is ", dtype,
                           ", which safetensors files cannot hold: use f32, f16 or bf16, or GGUF"));
  }
}

void remove_file(const fs::path& path) {
  std::error_code error;
  fs::remove(path, error);
  if (error) throw IoError(str("cannot remove ", path.string(), ": ", error.message()));
}

}  // namespace

SafetensorsWriter::SafetensorsWriter(fs::path path, SafetensorsMetadata metadata)
    : path_(std::move(path)),
      metadata_(std::move(metadata)),
      stream_(path_.string()),
      file_(path_) {}

void SafetensorsWriter::declare(std::string_view name, DType dtype, const Shape& shape,
                                std::string_view type_name) {
  check_storable(path_, name, dtype);
  if (header_written_) {
    throw Error(str(path_.string(), ": ", show_name(name), " is declared after data was written"));
  }
  stream_.declare(name, dtype, shape, type_name);
}

void SafetensorsWriter::write_header() {
  header_written_ = true;
  SafetensorsHeader header;
  header.metadata = metadata_;
  for (const TensorSlot& slot : stream_.slots()) {
    TensorInfo info;
    info.name = slot.name;
    info.type_name = slot.type_name.empty() ? safetensors_type_name(slot.dtype) : slot.type_name;
    info.shape = slot.shape;
    info.size_bytes = slot.size_bytes;
    header.tensors.push_back(std::move(info));
  }
  const std::string text = encode_safetensors_header(header);
  if (static_cast<int64_t>(text.size()) > kMaxSafetensorsHeaderBytes) {
    throw Error(str(path_.string(), ": the header of ", stream_.slots().size(),
                    " tensors exceeds the ", kMaxSafetensorsHeaderBytes,
                    " bytes that readers allow"));
  }
  file_.write(text);
}

void SafetensorsWriter::write(std::string_view name, const Tensor& part) {
  if (!header_written_) write_header();
  stream_.append(file_, name, part);
}

void SafetensorsWriter::finish() {
  stream_.check_complete();
  if (!header_written_) write_header();
  file_.commit();
}

ShardedSafetensorsWriter::ShardedSafetensorsWriter(fs::path folder, int64_t max_shard_bytes,
                                                   SafetensorsMetadata metadata)
    : folder_(created(std::move(folder))),
      max_shard_bytes_(max_shard_bytes),
      metadata_(std::move(metadata)),
      declared_(folder_.string()) {
  if (max_shard_bytes < 1) {
    throw UsageError(str("shards of ", max_shard_bytes, " bytes: needs at least 1"));
  }
}

ShardedSafetensorsWriter::~ShardedSafetensorsWriter() {
  for (const fs::path& path : written_) {
    std::error_code ignored;
    fs::remove(path, ignored);
  }
}

void ShardedSafetensorsWriter::declare(std::string_view name, DType dtype, const Shape& shape,
                                       std::string_view type_name) {
  if (writer_ != nullptr) {
    throw Error(
        str(folder_.string(), ": ", show_name(name), " is declared after data was written"));
  }
  check_storable(folder_, name, dtype);
  declared_.declare(name, dtype, shape, type_name);
}

void ShardedSafetensorsWriter::plan() {
  const auto& slots = declared_.slots();
  int64_t shard_bytes = 0;
  for (size_t i = 0; i < slots.size(); ++i) {
    // Written as a difference: the sum could overflow.
    if (shard_bytes > 0 && slots[i].size_bytes > max_shard_bytes_ - shard_bytes) {
      shard_ends_.push_back(i);
      shard_bytes = 0;
    }
    shard_bytes += slots[i].size_bytes;
  }
  shard_ends_.push_back(slots.size());

  if (shard_ends_.size() == 1) return;
  for (size_t shard = 0; shard < shard_ends_.size(); ++shard) {
    if (!fs::exists(folder_ / shard_name(shard))) continue;
    // An index over shards half old and half new would look like a model.
    remove_file(folder_ / kSafetensorsIndexName);
    return;
  }
}

std::string ShardedSafetensorsWriter::shard_name(size_t shard) const {
  if (shard_ends_.size() == 1) return kSafetensorsName;
  std::ostringstream name;
  name << std::setfill('0') << "model-" << std::setw(5) << shard + 1 << "-of-" << std::setw(5)
       << shard_ends_.size() << ".safetensors";
  return std::move(name).str();
}

void ShardedSafetensorsWriter::open_shard() {
  writer_ = std::make_unique<SafetensorsWriter>(folder_ / shard_name(shard_), metadata_);
  const size_t begin = shard_ == 0 ? 0 : shard_ends_[shard_ - 1];
  for (size_t i = begin; i < shard_ends_[shard_]; ++i) {
    const TensorSlot& slot = declared_.slots()[i];
    writer_->declare(slot.name, slot.dtype, slot.shape, slot.type_name);
  }
}

void ShardedSafetensorsWriter::finish_shard() {
  writer_->finish();
  written_.push_back(folder_ / shard_name(shard_));
}

void ShardedSafetensorsWriter::write(std::string_view name, const Tensor& part) {
  if (writer_ == nullptr) {
    plan();
    open_shard();
  }
  if (writer_->complete() && shard_ + 1 < shard_ends_.size()) {
    finish_shard();
    ++shard_;
    open_shard();
  }
  writer_->write(name, part);
}

void ShardedSafetensorsWriter::write_index() const {
  Json weight_map = Json::object();
  int64_t total_bytes = 0;
  size_t shard = 0;
  for (size_t i = 0; i < declared_.slots().size(); ++i) {
    while (i == shard_ends_[shard]) ++shard;
    weight_map[declared_.slots()[i].name] = shard_name(shard);
    total_bytes += declared_.slots()[i].size_bytes;
  }
  const Json index = {{"metadata", {{"total_size", total_bytes}}}, {"weight_map", weight_map}};
  write_file_atomically(folder_ / kSafetensorsIndexName, index.dump(2) + "\n");
}

void ShardedSafetensorsWriter::finish() {
  if (writer_ == nullptr) {
    plan();
    open_shard();
  }
  if (shard_ + 1 < shard_ends_.size()) {
    const TensorSlot& slot = declared_.slots()[shard_ends_[shard_]];
    finish_shard();
    throw Error(
        str(folder_.string(), ": the data of tensor ", show_name(slot.name), " is missing"));
  }
  finish_shard();
  // Readers prefer the single file, so removing or placing it is what switches the models.
  const bool single = shard_ends_.size() == 1;
  if (!single) write_index();
  written_.clear();
  remove_file(folder_ / (single ? kSafetensorsIndexName : kSafetensorsName));
}

void write_safetensors(const fs::path& path, std::vector<NamedTensor> tensors,
                       const SafetensorsMetadata& metadata) {
  const auto stored = [](const NamedTensor& t) { return t.stored_as.value_or(t.tensor.dtype()); };
  std::stable_sort(tensors.begin(), tensors.end(), [&](const NamedTensor& a, const NamedTensor& b) {
    return block_bytes(stored(a)) > block_bytes(stored(b));
  });
  SafetensorsWriter writer(path, metadata);
  for (const NamedTensor& t : tensors) writer.declare(t.name, stored(t), t.tensor.shape());
  for (const NamedTensor& t : tensors) writer.write(t.name, t.tensor);
  writer.finish();
}

void write_sharded(const fs::path& folder, const std::vector<NamedTensor>& tensors,
                   int64_t max_shard_bytes, const SafetensorsMetadata& metadata) {
  ShardedSafetensorsWriter writer(folder, max_shard_bytes, metadata);
  for (const NamedTensor& t : tensors) {
    writer.declare(t.name, t.stored_as.value_or(t.tensor.dtype()), t.tensor.shape());
  }
  for (const NamedTensor& t : tensors) writer.write(t.name, t.tensor);
  writer.finish();
}

}  // namespace corral::io
