#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "serve/api_error.h"
#include "serve/requests.h"

// Whatever the body: ApiError 400, or a request whose numbers are in their ranges.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view body(reinterpret_cast<const char*>(data), size);
  const auto check = [](const corral::serve::AnswerRequest& answer) {
    answer.generate.sampling.check();
    if (answer.n < 1 || answer.n > 16) __builtin_trap();
    if (answer.max_tokens.value_or(0) < 0) __builtin_trap();
  };
  try {
    check(corral::serve::parse_completion(body).answer);
  } catch (const corral::serve::ApiError& error) {
    if (error.status() != 400) __builtin_trap();
  }
  try {
    check(corral::serve::parse_chat(body).answer);
  } catch (const corral::serve::ApiError& error) {
    if (error.status() != 400) __builtin_trap();
  }
  return 0;
}
