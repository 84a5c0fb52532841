#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "engine/image_encoder.h"
#include "serve/answer.h"
#include "serve/http.h"
#include "serve/requests.h"
#include "serve/slots.h"
#include "text/tokenizer.h"

namespace corral::serve {

/// A model that is open, and all that its endpoints work with.
class Service {
 public:
  /// What makes it up. owner: whatever must outlive the engine (the weights); may be null.
  struct Parts {
    std::shared_ptr<const void> owner;
    std::shared_ptr<const text::Tokenizer> tokenizer;
    std::unique_ptr<engine::ImageEncoder> eyes;  // null: the model does not see
    std::unique_ptr<engine::Engine> engine;
  };
  Service(std::string name, Parts parts);

  /// How the model is called.
  const std::string& model() const { return name_; }
  engine::Engine& engine() const { return *parts_.engine; }
  const std::shared_ptr<const text::Tokenizer>& tokenizer() const { return parts_.tokenizer; }
  /// Null when the model does not see.
  engine::ImageEncoder* eyes() const { return parts_.eyes.get(); }
  Slots& slots() { return slots_; }

  /// 64 bits that nobody can guess and that do not come again.
  uint64_t draw();
  /// A name like "chatcmpl-0123456789abcdef".
  std::string new_id(const char* prefix);
  /// An engine request for this prompt. Throws ApiError 400 when it does not fit the context, and
  /// when the form that the answer has to follow is not supported.
  engine::Request request(const AnswerRequest& answer, engine::Prompt prompt,
                          const std::string& client);

 private:
  std::string name_;
  Parts parts_;
  uint64_t secret_;
  std::atomic<uint64_t> drawn_{0};
  AnswerForms forms_;
  Slots slots_;
};

/// The right to use an open model: it stays open for so long.
using Lease = std::shared_ptr<Service>;

/// {"tokens", "count", "max_model_len"} of {"prompt" or "content", "add_special_tokens"?,
/// "parse_special"?}.
HttpResponse tokenize(const Service& service, const OrderedJson& body);
/// {"prompt", "content"} of {"tokens"}.
HttpResponse detokenize(const Service& service, const OrderedJson& body);

/// The bytes of a token as text for people; bytes that are no text as OpenAI's API writes them,
/// "bytes:\xe2\x82".
std::string token_name(const text::Tokenizer& tokenizer, int32_t token);
/// {"prompt_tokens", "completion_tokens", "total_tokens", "prompt_tokens_details"}.
OrderedJson usage_json(const Usage& usage);
/// 64 bits from the operating system.
uint64_t random_secret();
int64_t seconds_since_1970();

}  // namespace corral::serve
