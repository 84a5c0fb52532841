// config.json of a model folder: refused with an Error, or a config whose sizes fit each other, so
// that the list of its parameters can be made.
#include <cstddef>
#include <cstdint>
#include <string>

#include "base/error.h"
#include "model/config.h"
#include "model/weights.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const std::string text(reinterpret_cast<const char*>(data), size);
    const corral::model::Config config = corral::model::parse_config(text, "config.json");
    if (config.num_hidden_layers <= 64) corral::model::parameter_list(config);
  } catch (const corral::Error&) {
  }
  return 0;
}
