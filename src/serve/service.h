#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "serve/answer.h"
#include "serve/http.h"
#include "serve/requests.h"
#include "text/tokenizer.h"

namespace corral::serve {

/// What the endpoints work with.
struct Service {
  engine::Engine& engine;
  std::shared_ptr<const text::Tokenizer> tokenizer;
  std::string model;    // how it is called
  int64_t created = 0;  // seconds since 1970
  uint64_t secret = 0;  // names and unseeded random numbers are drawn from it
  std::atomic<uint64_t> drawn{0};
  AnswerForms forms = {};

  /// 64 bits that nobody can guess and that do not come again.
  uint64_t draw();
  /// A name like "chatcmpl-0123456789abcdef".
  std::string new_id(const char* prefix);
  /// Throws ApiError 404 when a request asks for another model.
  void check_model(const std::string& name) const;
  /// An engine request for this prompt. Throws ApiError 400 when it does not fit the context, and
  /// when the form that the answer has to follow is not supported.
  engine::Request request(const AnswerRequest& answer, std::vector<int32_t> prompt,
                          const std::string& client);
};

/// A request on its way through an endpoint.
struct Call {
  const HttpRequest& http;
  ResponderPtr responder;
  std::string client;  // who asks, for fair turns
  Ended ended;
};

void post_chat_completions(Service& service, const Call& call);
void post_completions(Service& service, const Call& call);
/// {"prompt" or "content", "add_special_tokens"?, "parse_special"?} -> {"tokens", "count",
/// "max_model_len"}.
HttpResponse post_tokenize(const Service& service, const HttpRequest& request);
/// {"tokens"} -> {"prompt", "content"}.
HttpResponse post_detokenize(const Service& service, const HttpRequest& request);
HttpResponse get_models(const Service& service);

/// The bytes of a token as text for people; bytes that are no text as OpenAI's API writes them,
/// "bytes:\xe2\x82".
std::string token_name(const text::Tokenizer& tokenizer, int32_t token);
/// {"prompt_tokens", "completion_tokens", "total_tokens", "prompt_tokens_details"}.
OrderedJson usage_json(const Usage& usage);

}  // namespace corral::serve
