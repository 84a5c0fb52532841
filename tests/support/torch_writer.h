#pragma once

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "tensor/tensor.h"

namespace corral::test {

/// Little-endian bytes put together by hand.
inline void put(std::string& out, uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) out += static_cast<char>(value >> (8 * i));
}

/// A zip archive as torch.save writes it: nothing compressed, sizes known in the local headers.
class ZipWriter {
 public:
  void add(std::string_view name, std::string_view data) {
    entries_.push_back({std::string(name), archive_.size(), data.size()});
    put(archive_, 0x04034b50, 4);
    // torch puts data at multiples of 64 with an extra field of the local header.
    const size_t extra = (64 - (archive_.size() + 26 + name.size()) % 64) % 64;
    header(name, data.size(), extra);
    archive_ += name;
    archive_.append(extra, '\0');
    archive_ += data;
  }
  std::string finish() {
    const size_t begin = archive_.size();
    for (const Entry& entry : entries_) {
      put(archive_, 0x02014b50, 4);
      put(archive_, 0, 2);  // made by
      header(entry.name, entry.size, 0);
      put(archive_, 0, 2);  // comment
      put(archive_, 0, 2);  // volume
      put(archive_, 0, 6);  // attributes
      put(archive_, entry.at, 4);
      archive_ += entry.name;
    }
    const size_t size = archive_.size() - begin;
    put(archive_, 0x06054b50, 4);
    put(archive_, 0, 4);  // volumes
    put(archive_, entries_.size(), 2);
    put(archive_, entries_.size(), 2);
    put(archive_, size, 4);
    put(archive_, begin, 4);
    put(archive_, 0, 2);
    return archive_;
  }

 private:
  struct Entry {
    std::string name;
    size_t at;
    size_t size;
  };
  // What the local header and the directory have in common.
  void header(std::string_view name, size_t size, size_t extra) {
    put(archive_, 0, 8);  // version, flags, method, time
    put(archive_, 0, 6);  // date, checksum
    put(archive_, size, 4);
    put(archive_, size, 4);
    put(archive_, name.size(), 2);
    put(archive_, extra, 2);
  }

  std::string archive_;
  std::vector<Entry> entries_;
};

/// The pickle of a state dict, opcode by opcode.
class PickleWriter {
 public:
  PickleWriter() { text = "\x80\x02}("; }

  PickleWriter& op(std::string_view bytes) {
    text += bytes;
    return *this;
  }
  PickleWriter& string(std::string_view value) {
    text += 'X';
    put(text, value.size(), 4);
    text += value;
    return *this;
  }
  PickleWriter& number(int64_t value) {
    text += "\x8a\x08";
    put(text, static_cast<uint64_t>(value), 8);
    return *this;
  }
  PickleWriter& numbers(const std::vector<int64_t>& values) {
    text += '(';
    for (const int64_t value : values) number(value);
    text += 't';
    return *this;
  }
  PickleWriter& global(std::string_view module, std::string_view name) {
    text += 'c';
    text += module;
    text += '\n';
    text += name;
    text += '\n';
    return *this;
  }
  /// A key and the tensor that it names.
  PickleWriter& tensor(std::string_view name, std::string_view storage_class,
                       std::string_view storage, int64_t elements, int64_t offset,
                       const std::vector<int64_t>& sizes, const std::vector<int64_t>& strides) {
    string(name).global("torch._utils", "_rebuild_tensor_v2").op("((").string("storage");
    global("torch", storage_class).string(storage).string("cpu").number(elements).op("tQ");
    number(offset).numbers(sizes).numbers(strides).op("\x89");
    return global("collections", "OrderedDict").op(")RtR");
  }
  std::string finish() const { return text + "u."; }

  std::string text;
};

/// Writes tensors as torch.save would, each in a storage of its own.
class TorchWriter {
 public:
  void add(std::string_view name, const Tensor& tensor) {
    const auto dims = tensor.shape().dims();
    const std::vector<int64_t> sizes(dims.begin(), dims.end());
    std::vector<int64_t> strides(sizes.size(), 1);
    for (size_t axis = sizes.size(); axis-- > 1;) strides[axis - 1] = strides[axis] * sizes[axis];
    add_view(name, tensor, 0, sizes, strides);
  }
  /// A view of `storage` in elements.
  void add_view(std::string_view name, const Tensor& storage, int64_t offset,
                const std::vector<int64_t>& sizes, const std::vector<int64_t>& strides) {
    const std::string key = std::to_string(storages_.size());
    const char* type = storage.dtype() == DType::kF32   ? "FloatStorage"
                       : storage.dtype() == DType::kF16 ? "HalfStorage"
                                                        : "BFloat16Storage";
    pickle_.tensor(name, type, key, storage.numel(), offset, sizes, strides);
    storages_.emplace_back(reinterpret_cast<const char*>(storage.data<std::byte>()),
                           static_cast<size_t>(storage.size_bytes()));
  }
  PickleWriter& pickle() { return pickle_; }

  std::string finish() const {
    ZipWriter zip;
    zip.add("archive/data.pkl", pickle_.finish());
    for (size_t i = 0; i < storages_.size(); ++i) {
      zip.add("archive/data/" + std::to_string(i), storages_[i]);
    }
    zip.add("archive/version", "3\n");
    return zip.finish();
  }
  void write(const std::filesystem::path& path) const {
    const std::string bytes = finish();
    std::ofstream(path, std::ios::binary)
        .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  }

 private:
  PickleWriter pickle_;
  std::vector<std::string> storages_;
};

}  // namespace corral::test
