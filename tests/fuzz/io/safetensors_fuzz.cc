// A safetensors file of any bytes: an Error, or tensors that lie in the file and can be read.
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/error.h"
#include "fuzz/check.h"
#include "fuzz/io/read_tensors.h"
#include "fuzz/memory_file.h"
#include "io/safetensors.h"

namespace corral::io {
namespace {

void run(std::span<const uint8_t> input) {
  const int64_t file_bytes = static_cast<int64_t>(input.size());
  // From memory whose end a sanitizer knows, unlike that of a mapping.
  for (const TensorInfo& tensor : parse_safetensors(std::as_bytes(input), "fuzz").tensors) {
    test::expect(tensor.offset_bytes >= 8 && tensor.size_bytes >= 0);
    test::expect(tensor.size_bytes <= file_bytes &&
                 tensor.offset_bytes <= file_bytes - tensor.size_bytes);
    test::expect(!tensor.dtype ||
                 bytes_of(*tensor.dtype, tensor.shape.numel()) == tensor.size_bytes);
  }
  const test::MemoryFile memory(input.data(), input.size());
  const SafetensorsFile file(memory.path());
  test::read_tensors(file);
}

}  // namespace
}  // namespace corral::io

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return corral::test::read_or_refuse([&] { corral::io::run({data, size}); });
}
