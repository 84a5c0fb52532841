#include "io/torch_file.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <utility>

#include "base/error.h"
#include "io/extents.h"
#include "io/names.h"
#include "io/pickle.h"
#include "io/zip_directory.h"

namespace corral::io {
namespace {

constexpr std::string_view kPickleName = "/data.pkl";
constexpr std::string_view kByteOrderName = "byteorder";

using Entries = std::map<std::string, ZipEntry, std::less<>>;

std::span<const std::byte> bytes_of(const MappedFile& file, const ZipEntry& entry) {
  return file.bytes().subspan(static_cast<size_t>(entry.offset_bytes),
                              static_cast<size_t>(entry.size_bytes));
}

// All entries lie in one folder, which has the name that the file had when it was written.
std::string find_folder(const Entries& entries, const std::string& what) {
  for (const auto& [name, entry] : entries) {
    if (name.ends_with(kPickleName) && std::count(name.begin(), name.end(), '/') == 1) {
      return name.substr(0, name.size() - kPickleName.size() + 1);
    }
  }
  throw CorruptFile(str(what, ": has no data.pkl: torch.save did not write this archive"));
}

void check_byte_order(const MappedFile& file, const Entries& entries, const std::string& folder) {
  const auto at = entries.find(folder + std::string(kByteOrderName));
  if (at == entries.end()) return;
  const auto bytes = bytes_of(file, at->second);
  const std::string_view order(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (!order.starts_with("little")) {
    throw NotSupported(
        str(file.path().string(), ": written on a big-endian machine: save it on a little one"));
  }
}

bool is_row_by_row(const PickledTensor& tensor) {
  int64_t expected = 1;
  for (size_t axis = tensor.sizes.size(); axis-- > 0;) {
    if (tensor.sizes[axis] != 1 && tensor.strides[axis] != expected) return false;
    expected *= tensor.sizes[axis];
  }
  return true;
}

// The elements from the first to the last that the view reaches; checked_shape() has seen that the
// product of the sizes fits.
int64_t reach(const PickledTensor& tensor, int64_t limit) {
  int64_t last = 0;
  for (size_t axis = 0; axis < tensor.sizes.size(); ++axis) {
    if (tensor.sizes[axis] == 0) return 0;
    const int64_t steps = tensor.sizes[axis] - 1;
    if (steps != 0 && tensor.strides[axis] > (limit - last) / steps) return limit + 1;
    last += steps * tensor.strides[axis];
  }
  return last + 1;
}

TensorInfo locate(const PickledTensor& tensor, const Entries& entries, const std::string& folder,
                  const std::string& what) {
  const auto fail = [&](const std::string& reason) {
    throw CorruptFile(str(what, ": tensor ", show_name(tensor.name), " ", reason));
  };
  const auto at = entries.find(folder + "data/" + tensor.storage);
  if (at == entries.end()) {
    fail(str("lies in storage ", show_name(tensor.storage), ", which the archive lacks"));
  }
  const ZipEntry& storage = at->second;
  if (tensor.storage_elements > storage.size_bytes / tensor.element_bytes) {
    fail(str("needs a storage of ", tensor.storage_elements, " elements, the archive has ",
             storage.size_bytes, " bytes"));
  }
  TensorInfo info;
  info.name = tensor.name;
  info.type_name = tensor.type_name;
  if (tensor.readable) info.dtype = tensor.dtype;
  const std::vector<uint64_t> sizes(tensor.sizes.begin(), tensor.sizes.end());
  info.shape = checked_shape(sizes, what, tensor.name);
  const int64_t elements = tensor.storage_elements;
  // A view of stride 0 shows few elements as any number; no checkpoint needs one.
  if (info.shape.numel() > elements || tensor.offset_elements > elements ||
      reach(tensor, elements) > elements - tensor.offset_elements) {
    fail(str("reaches beyond the ", elements, " elements of its storage"));
  }
  info.offset_bytes = storage.offset_bytes + tensor.offset_elements * tensor.element_bytes;
  info.size_bytes = info.shape.numel() * tensor.element_bytes;
  return info;
}

// Walks all positions of a strided view in the order of its axes.
void gather(const std::byte* from, const std::vector<int64_t>& strides, size_t element_bytes,
            Tensor& to) {
  const Shape& shape = to.shape();
  auto* out = to.mutable_data<std::byte>();
  std::vector<int64_t> at(strides.size(), 0);
  for (int64_t i = 0; i < shape.numel(); ++i) {
    int64_t element = 0;
    for (size_t axis = 0; axis < strides.size(); ++axis) element += at[axis] * strides[axis];
    std::memcpy(out + static_cast<size_t>(i) * element_bytes,
                from + static_cast<size_t>(element) * element_bytes, element_bytes);
    for (size_t axis = strides.size(); axis-- > 0;) {
      if (++at[axis] < shape[static_cast<int>(axis)]) break;
      at[axis] = 0;
    }
  }
}

}  // namespace

TorchFile::Contents TorchFile::read_contents(const MappedFile& file) {
  const std::string what = file.path().string();
  Entries entries;
  for (ZipEntry& entry : read_zip_directory(file.bytes(), what)) {
    const std::string name = entry.name;
    entries.emplace(name, std::move(entry));
  }
  const std::string folder = find_folder(entries, what);
  check_byte_order(file, entries, folder);
  const ZipEntry& pickle = entries.at(folder + "data.pkl");
  Contents contents;
  for (const PickledTensor& tensor : read_pickled_tensors(bytes_of(file, pickle), what)) {
    contents.tensors.push_back(locate(tensor, entries, folder, what));
    contents.strides.push_back(is_row_by_row(tensor) ? std::vector<int64_t>{} : tensor.strides);
  }
  return contents;
}

TorchFile::TorchFile(const std::filesystem::path& path) : TorchFile(MappedFile::open(path)) {}

TorchFile::TorchFile(const std::shared_ptr<const MappedFile>& file)
    : TorchFile(file, read_contents(*file)) {}

TorchFile::TorchFile(std::shared_ptr<const MappedFile> file, Contents contents)
    : WeightSource(file->path().string(), std::move(contents.tensors)),
      file_(std::move(file)),
      strides_(std::move(contents.strides)) {}

Tensor TorchFile::read(size_t index, const DevicePtr& device) const {
  const TensorInfo& info = tensors()[index];
  if (strides_[index].empty()) return map_tensor(file_, info, device);
  Tensor tensor(info.shape, info.dtype.value(), device);
  gather(file_->bytes().data() + info.offset_bytes, strides_[index],
         static_cast<size_t>(block_bytes(info.dtype.value())), tensor);
  return tensor;
}

}  // namespace corral::io
