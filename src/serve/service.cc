#include "serve/service.h"

#include <algorithm>

#include "base/random.h"
#include "serve/api_error.h"
#include "text/unicode.h"

namespace corral::serve {
namespace {

std::string hex(uint64_t value, int digits) {
  std::string text;
  for (int i = digits - 1; i >= 0; --i) text += "0123456789abcdef"[value >> (4 * i) & 15];
  return text;
}

}  // namespace

uint64_t Service::draw() { return Philox(secret).bits(drawn++); }

std::string Service::new_id(const char* prefix) { return prefix + hex(draw(), 16); }

void Service::check_model(const std::string& name) const {
  if (name.empty() || name == model) return;
  throw ApiError(404,
                 str("the model '", name.substr(0, 100), "' is not served here: ", model, " is"),
                 "model");
}

engine::Request Service::request(const AnswerRequest& answer, std::vector<int32_t> prompt,
                                 const std::string& client) {
  engine::Request result;
  const auto tokens = static_cast<int64_t>(prompt.size());
  const int64_t context = engine.context_tokens();
  if (tokens > context) {
    throw ApiError(400, str("the prompt has ", tokens, " tokens, the context holds ", context));
  }
  result.prompt.tokens = std::move(prompt);
  result.options = answer.generate;
  result.options.max_tokens = answer.max_tokens.value_or(context - tokens);
  if (result.options.max_tokens > context) {
    throw ApiError(
        400, str("max_tokens is ", result.options.max_tokens, ", the context holds ", context),
        "max_tokens");
  }
  if (answer.form) result.options.constraint = forms.constraint(*answer.form, tokenizer);
  if (!answer.seeded) result.options.sampling.seed = draw();
  result.choices = answer.n;
  result.priority = answer.priority;
  result.client = client;
  if (answer.timeout_seconds) {
    result.deadline =
        engine::Clock::now() + std::chrono::duration_cast<engine::Clock::duration>(
                                   std::chrono::duration<double>(*answer.timeout_seconds));
  }
  return result;
}

HttpResponse get_models(const Service& service) {
  OrderedJson model;
  model["id"] = service.model;
  model["object"] = "model";
  model["created"] = service.created;
  model["owned_by"] = "corral";
  model["max_model_len"] = service.engine.context_tokens();
  OrderedJson list;
  list["object"] = "list";
  list["data"] = OrderedJson::array({model});
  return {.body = dump(list)};
}

HttpResponse post_tokenize(const Service& service, const HttpRequest& request) {
  const OrderedJson json = parse_body(request.body);
  const Fields fields(json);
  service.check_model(fields.text("model").value_or(""));
  const char* name = fields.find("prompt") != nullptr ? "prompt" : "content";
  const auto text = fields.text(name);
  if (!text) fields.fail("prompt", "is missing");
  text::EncodeOptions options;
  options.bos = fields.boolean("add_special_tokens").value_or(true) &&
                service.tokenizer->bos_id().has_value();
  options.special = fields.boolean("parse_special").value_or(true) ? text::SpecialText::kAll
                                                                   : text::SpecialText::kPlain;
  const auto ids = service.tokenizer->encode(*text, options);
  OrderedJson result;
  result["tokens"] = ids;
  result["count"] = ids.size();
  result["max_model_len"] = service.engine.context_tokens();
  return {.body = dump(result)};
}

HttpResponse post_detokenize(const Service& service, const HttpRequest& request) {
  const OrderedJson json = parse_body(request.body);
  const Fields fields(json);
  service.check_model(fields.text("model").value_or(""));
  const OrderedJson* tokens = fields.find("tokens");
  if (tokens == nullptr || !tokens->is_array()) fields.fail("tokens", "is no list of tokens");
  std::vector<int32_t> ids;
  for (const OrderedJson& token : *tokens) {
    if (!token.is_number_integer() || token < 0 || token >= service.tokenizer->vocab_size()) {
      fields.fail("tokens", str("has a token that is none of the ", service.tokenizer->vocab_size(),
                                " of the model"));
    }
    ids.push_back(token.get<int32_t>());
  }
  OrderedJson result;
  try {
    result["prompt"] = service.tokenizer->decode_text(ids);
  } catch (const UsageError& error) {
    fields.fail("tokens", str("cannot be decoded: ", error.what()));
  }
  result["content"] = result["prompt"];
  return {.body = dump(result)};
}

std::string token_name(const text::Tokenizer& tokenizer, int32_t token) {
  const std::string_view bytes = tokenizer.token_bytes(token);
  if (text::is_valid_utf8(bytes)) return std::string(bytes);
  std::string name = "bytes:";
  for (const char byte : bytes) name += "\\x" + hex(static_cast<unsigned char>(byte), 2);
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
