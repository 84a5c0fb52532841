#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "base/json.h"

// Whatever the bytes: CorruptFile, or a value that survives being written and read again.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  corral::Json value;
  try {
    value = corral::parse_json({reinterpret_cast<const char*>(data), size}, "input");
  } catch (const corral::CorruptFile&) {
    return 0;
  }
  if (corral::parse_json(value.dump(), "own output") != value) __builtin_trap();
  return 0;
}
