// A GGUF file of any bytes: an Error, or metadata that can be read and tensors that lie in the
// file.
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/error.h"
#include "fuzz/check.h"
#include "fuzz/io/read_tensors.h"
#include "fuzz/memory_file.h"
#include "io/gguf.h"
#include "io/gguf_metadata.h"

namespace corral::io {
namespace {

/// Asks for a value in one of the seven ways that exist; most answer with an error.
void ask(const GgufFile& file, std::string_view key, int way) {
  try {
    if (way == 0) file.get_string(key);
    if (way == 1) test::expect(file.get_uint(key) >= 0);
    if (way == 2) file.get_float(key);
    if (way == 3) file.get_bool(key);
    if (way == 4) file.get_strings(key);
    if (way == 5) file.get_ints(key);
    if (way == 6) file.get_floats(key);
  } catch (const CorruptFile&) {
  }
}

void run(std::span<const uint8_t> input) {
  const int64_t file_bytes = static_cast<int64_t>(input.size());
  // From memory whose end a sanitizer knows, unlike that of a mapping.
  const GgufHeader header = parse_gguf(std::as_bytes(input), "fuzz");
  GgufMetadata copy;
  for (const GgufEntry& entry : header.metadata) copy.copy(entry);
  test::expect(copy.count() == static_cast<int64_t>(header.metadata.size()));
  test::expect(copy.alignment_bytes() == header.alignment_bytes);
  for (const TensorInfo& tensor : header.tensors) {
    test::expect(tensor.offset_bytes >= 0 && tensor.offset_bytes <= file_bytes);
    if (tensor.size_bytes > 0) test::expect(tensor.size_bytes <= file_bytes - tensor.offset_bytes);
    test::expect(!tensor.dtype ||
                 bytes_of(*tensor.dtype, tensor.shape.numel()) == tensor.size_bytes);
  }
  const test::MemoryFile memory(input.data(), input.size());
  const GgufFile file(memory.path());
  // All ways at once would be slow: an exception takes longer than everything else here.
  for (const GgufEntry& entry : file.metadata())
    ask(file, entry.key, static_cast<unsigned char>(entry.key[0]) % 7);
  test::read_tensors(file);
}

}  // namespace
}  // namespace corral::io

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return corral::test::read_or_refuse([&] { corral::io::run({data, size}); });
}
