#include "io/gguf_writer.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "io/names.h"

namespace corral::io {
namespace {

constexpr size_t kMaxNameBytes = 63;

template <class T>
void append(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof(value));
}

int64_t padding_after(int64_t size_bytes, int64_t alignment_bytes) {
  return (alignment_bytes - size_bytes % alignment_bytes) % alignment_bytes;
}

}  // namespace

GgufWriter::GgufWriter(std::filesystem::path path, GgufMetadata metadata)
    : path_(std::move(path)),
      metadata_(std::move(metadata)),
      stream_(path_.string()),
      file_(path_) {}

void GgufWriter::declare(std::string_view name, DType dtype, const Shape& shape) {
  if (header_written_) {
    throw Error(str(path_.string(), ": ", show_name(name), " is declared after data was written"));
  }
  if (name.size() > kMaxNameBytes) {
    throw Error(str(path_.string(), ": tensor name ", show_name(name), " has ", name.size(),
                    " bytes, GGUF readers take ", kMaxNameBytes));
  }
  if (find_ggml_type(dtype) == nullptr) {
    throw NotSupported(
        str(path_.string(), ": GGUF cannot hold tensor ", show_name(name), " of ", dtype));
  }
  stream_.declare(name, dtype, shape);
}

void GgufWriter::write_header() {
  header_written_ = true;
  std::string text(kGgufMagic);
  append(text, kGgufVersion);
  append(text, static_cast<uint64_t>(stream_.slots().size()));
  append(text, static_cast<uint64_t>(metadata_.count()));
  text += metadata_.encoded();
  const int64_t alignment = metadata_.alignment_bytes();
  int64_t offset = 0;
  for (const TensorSlot& slot : stream_.slots()) {
    append(text, static_cast<uint64_t>(slot.name.size()));
    text += slot.name;
    append(text, static_cast<uint32_t>(slot.shape.rank()));
    for (int axis = slot.shape.rank() - 1; axis >= 0; --axis) append(text, slot.shape[axis]);
    append(text, find_ggml_type(slot.dtype)->number);
    append(text, offset);
    offset += slot.size_bytes + padding_after(slot.size_bytes, alignment);
  }
  file_.write(text);
  pad();
}

void GgufWriter::pad() {
  const std::string zeros(4096, '\0');
  int64_t left = padding_after(file_.position_bytes(), metadata_.alignment_bytes());
  while (left > 0) {
    const int64_t n = std::min<int64_t>(left, 4096);
    file_.write(zeros.data(), static_cast<size_t>(n));
    left -= n;
  }
}

void GgufWriter::write(std::string_view name, const Tensor& part,
                       std::span<const float> importance) {
  if (!header_written_) write_header();
  if (stream_.append(file_, name, part, importance)) pad();
}

void GgufWriter::finish() {
  stream_.check_complete();
  if (!header_written_) write_header();
  file_.commit();
}

}  // namespace corral::io
