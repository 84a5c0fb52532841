// A torch checkpoint of any bytes: an Error, or tensors that lie in the file and can be read. The
// first byte chooses between a whole archive and a bare pickle, which reaches deeper.
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/error.h"
#include "fuzz/check.h"
#include "fuzz/memory_file.h"
#include "io/pickle.h"
#include "io/torch_file.h"
#include "io/zip_directory.h"

namespace corral::io {
namespace {

void run(std::span<const uint8_t> input) {
  if (input.empty()) return;
  const bool pickle = input[0] == 'p';
  input = input.subspan(1);
  if (pickle) {
    read_pickled_tensors(std::as_bytes(input), "fuzz");
    return;
  }
  const auto file_bytes = static_cast<int64_t>(input.size());
  for (const ZipEntry& entry : read_zip_directory(std::as_bytes(input), "fuzz")) {
    test::expect(entry.size_bytes >= 0 && entry.offset_bytes <= file_bytes - entry.size_bytes);
  }
  const test::MemoryFile memory(input.data(), input.size());
  const TorchFile file(memory.path());
  const DevicePtr device = Device::cpu({.threads = 1});
  for (const TensorInfo& tensor : file.tensors()) {
    test::expect(tensor.offset_bytes >= 0 && tensor.offset_bytes <= file_bytes - tensor.size_bytes);
    if (tensor.dtype) file.get(tensor.name, device).clone();
  }
}

}  // namespace
}  // namespace corral::io

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return corral::test::read_or_refuse([&] { corral::io::run({data, size}); });
}
