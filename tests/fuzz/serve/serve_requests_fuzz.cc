#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "serve/api_error.h"
#include "serve/chat_json_body.h"
#include "serve/requests.h"

// Whatever the body: ApiError 400, or a request whose numbers are in their ranges.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view body(reinterpret_cast<const char*>(data), size);
  const auto check = [](const corral::serve::AnswerRequest& answer) {
    answer.generate.sampling.check();
    if (answer.n < 1 || answer.n > 16) __builtin_trap();
    if (answer.max_tokens.value_or(0) < 0) __builtin_trap();
  };
  const auto ask = [&](const auto& parse) {
    try {
      check(parse().answer);
    } catch (const corral::serve::ApiError& error) {
      if (error.status() != 400) __builtin_trap();
    }
  };
  using namespace corral::serve;
  ask([&] { return parse_completion(body); });
  ask([&] { return parse_chat(body); });
  ask([&] { return parse_embedding(body); });
  ask([&] { return read_chat(chat_body_of_messages(parse_body(body), false)); });
  ask([&] { return read_chat(chat_body_of_responses(parse_body(body), OrderedJson::array())); });
  return 0;
}
