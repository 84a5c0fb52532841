#include "serve/service.h"

#include <chrono>
#include <random>
#include <utility>

#include "base/encoding.h"
#include "base/random.h"
#include "serve/api_error.h"
#include "text/unicode.h"

namespace corral::serve {
Service::Service(std::string name, Parts parts)
    : name_(std::move(name)), parts_(std::move(parts)), secret_(random_secret()) {}

uint64_t Service::draw() { return Philox(secret_).bits(drawn_++); }

std::string Service::new_id(const char* prefix) { return prefix + to_hex(draw(), 16); }

engine::Request Service::request(const AnswerRequest& answer, engine::Prompt prompt,
                                 const std::string& client) {
  engine::Request result;
  const auto tokens = static_cast<int64_t>(prompt.tokens.size());
  const int64_t context = engine().context_tokens();
  if (tokens > context) {
    throw ApiError(400, str("the prompt has ", tokens, " tokens, the context holds ", context), "",
                   "context_length_exceeded");
  }
  result.prompt = std::move(prompt);
  result.options = answer.generate;
  result.options.max_tokens = answer.max_tokens.value_or(context - tokens);
  if (result.options.max_tokens > context) {
    throw ApiError(
        400, str("max_tokens is ", result.options.max_tokens, ", the context holds ", context),
        "max_tokens");
  }
  if (answer.form) result.options.constraint = forms_.constraint(*answer.form, parts_.tokenizer);
  if (!answer.seeded) result.options.sampling.seed = draw();
  result.choices = answer.n;
  result.priority = answer.priority;
  result.client = client;
  result.session = answer.slot;
  if (answer.timeout_seconds) {
    result.deadline = Clock::now() + std::chrono::duration_cast<Clock::duration>(
                                         std::chrono::duration<double>(*answer.timeout_seconds));
  }
  return result;
}

HttpResponse tokenize(const Service& service, const OrderedJson& body) {
  const Fields fields(body);
  const char* name = fields.find("prompt") != nullptr ? "prompt" : "content";
  const auto text = fields.text(name);
  if (!text) fields.fail("prompt", "is missing");
  const text::Tokenizer& tokenizer = *service.tokenizer();
  text::EncodeOptions options;
  options.bos = fields.boolean("add_special_tokens").value_or(true) && tokenizer.bos_id();
  options.special = fields.boolean("parse_special").value_or(true) ? text::SpecialText::kAll
                                                                   : text::SpecialText::kPlain;
  const auto ids = tokenizer.encode(*text, options);
  OrderedJson result;
  result["tokens"] = ids;
  result["count"] = ids.size();
  result["max_model_len"] = service.engine().context_tokens();
  return {.body = dump(result)};
}

HttpResponse detokenize(const Service& service, const OrderedJson& body) {
  const Fields fields(body);
  const text::Tokenizer& tokenizer = *service.tokenizer();
  const OrderedJson* tokens = fields.find("tokens");
  if (tokens == nullptr || !tokens->is_array()) fields.fail("tokens", "is no list of tokens");
  std::vector<int32_t> ids;
  for (const OrderedJson& token : *tokens) {
    if (!token.is_number_integer() || token < 0 || token >= tokenizer.vocab_size()) {
      fields.fail("tokens",
                  str("has a token that is none of the ", tokenizer.vocab_size(), " of the model"));
    }
    ids.push_back(token.get<int32_t>());
  }
  OrderedJson result;
  try {
    result["prompt"] = tokenizer.decode_text(ids);
  } catch (const UsageError& error) {
    fields.fail("tokens", str("cannot be decoded: ", error.what()));
  }
  result["content"] = result["prompt"];
  return {.body = dump(result)};
}

uint64_t random_secret() {
  std::random_device device;
  return uint64_t{device()} << 32 | device();
}

int64_t seconds_since_1970() {
  return std::chrono::duration_cast<std::chrono::seconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

std::string token_name(const text::Tokenizer& tokenizer, int32_t token) {
  const std::string_view bytes = tokenizer.token_bytes(token);
  if (text::is_valid_utf8(bytes)) return std::string(bytes);
  std::string name = "bytes:";
  for (const char byte : bytes) name += "\\x" + to_hex(static_cast<unsigned char>(byte), 2);
  return name;
}

OrderedJson usage_json(const Usage& usage) {
  OrderedJson json;
  json["prompt_tokens"] = usage.prompt_tokens;
  json["completion_tokens"] = usage.completion_tokens;
  json["total_tokens"] = usage.prompt_tokens + usage.completion_tokens;
  json["prompt_tokens_details"] = {{"cached_tokens", usage.cached_tokens}};
  return json;
}

}  // namespace corral::serve
