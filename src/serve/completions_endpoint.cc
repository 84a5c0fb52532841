// /v1/completions
#include <map>
#include <utility>

#include "serve/api_error.h"
#include "serve/endpoints.h"
#include "text/unicode.h"

namespace corral::serve {
namespace {

/// A prompt as it is echoed: without the begin-of-text token that the server put before it.
struct EchoedPrompt {
  std::vector<int32_t> tokens;
  std::string text;
  bool bos_added = false;
};

/// The four lists of OpenAI's old log probabilities, which evaluation harnesses read.
class LogprobLists {
 public:
  void add(const text::Tokenizer& tokenizer, int32_t token, const std::string& text,
           const engine::TokenLogprobs* logprobs) {
    tokens_.push_back(token_name(tokenizer, token));
    offsets_.push_back(offset_);
    offset_ += utf8_length(text);
    if (logprobs == nullptr) {  // the first token of a text has none
      values_.push_back(nullptr);
      top_.push_back(nullptr);
      return;
    }
    values_.push_back(logprobs->token.logprob);
    OrderedJson top = OrderedJson::object();
    for (const auto& one : logprobs->top) top[token_name(tokenizer, one.token)] = one.logprob;
    // The chosen token is always among them, as in OpenAI's API.
    top[token_name(tokenizer, token)] = logprobs->token.logprob;
    top_.push_back(std::move(top));
  }
  OrderedJson json() const {
    OrderedJson json;
    json["tokens"] = tokens_;
    json["token_logprobs"] = values_;
    json["top_logprobs"] = top_;
    json["text_offset"] = offsets_;
    return json;
  }
  bool empty() const { return tokens_.empty(); }
  /// Keeps counting where it was.
  void clear() { tokens_ = values_ = top_ = offsets_ = OrderedJson::array(); }

 private:
  static int64_t utf8_length(std::string_view text) {
    int64_t characters = 0;
    for (const char byte : text) characters += (byte & 0xC0) != 0x80 ? 1 : 0;
    return characters;
  }

  OrderedJson tokens_ = OrderedJson::array();
  OrderedJson values_ = OrderedJson::array();
  OrderedJson top_ = OrderedJson::array();
  OrderedJson offsets_ = OrderedJson::array();
  int64_t offset_ = 0;
};

class CompletionWriter : public AnswerWriter {
 public:
  CompletionWriter(Service& service, ResponderPtr responder, const CompletionRequest& request,
                   std::vector<EchoedPrompt> prompts)
      : tokenizer_(service.tokenizer()),
        responder_(std::move(responder)),
        n_(request.answer.n),
        echo_(request.echo),
        logprobs_(request.answer.generate.logprobs.has_value()),
        stream_(request.answer.stream),
        usage_(request.answer.stream_usage),
        prompts_(std::move(prompts)),
        id_(service.new_id("cmpl-")),
        model_(service.model()),
        created_(std::chrono::duration_cast<std::chrono::seconds>(
                     std::chrono::system_clock::now().time_since_epoch())
                     .count()) {}

  void prompt(int64_t first_choice, const engine::PromptResult& result) override {
    if (!echo_) return;
    const EchoedPrompt& prompt = prompts_[static_cast<size_t>(first_choice / n_)];
    for (int64_t index = first_choice; index < first_choice + n_; ++index) {
      Choice& choice = choices_[index];
      choice.text += prompt.text;
      if (logprobs_) echo_logprobs(choice, prompt, result);
      if (stream_) flush(index, nullptr);
    }
  }
  void step(int64_t index, const engine::Step& step) override {
    Choice& choice = choices_[index];
    choice.text += step.text;
    if (step.logprobs && !step.is_stop_token) {
      choice.logprobs.add(*tokenizer_, step.token,
                          text::utf8_with_replacement(tokenizer_->token_bytes(step.token)),
                          &*step.logprobs);
    }
    if (stream_ && (!choice.text.empty() || !choice.logprobs.empty())) flush(index, nullptr);
  }
  void finished(int64_t index, engine::FinishReason reason) override {
    choices_[index].reason = finish_reason_name(reason);
    if (stream_) flush(index, choices_[index].reason);
  }
  void ended(const Usage& usage) override {
    if (stream_) {
      if (usage_) {
        OrderedJson json = head();
        json["choices"] = OrderedJson::array();
        json["usage"] = usage_json(usage);
        responder_->write(sse_event(dump(json)));
      }
      responder_->write(sse_event("[DONE]"));
      responder_->end();
      return;
    }
    OrderedJson json = head();
    json["choices"] = OrderedJson::array();
    for (const auto& [index, choice] : choices_) {
      json["choices"].push_back(entry(index, choice, choice.reason));
    }
    json["usage"] = usage_json(usage);
    responder_->send({.body = dump(json)});
  }
  void failed(const ApiError& error) override {
    if (!started_) return responder_->send(error_response(error));
    responder_->write(sse_event(error_json(error)));
    responder_->end();
  }

 private:
  struct Choice {
    std::string text;
    LogprobLists logprobs;
    OrderedJson reason;
  };

  OrderedJson head() const {
    OrderedJson json;
    json["id"] = id_;
    json["object"] = "text_completion";
    json["created"] = created_;
    json["model"] = model_;
    return json;
  }
  OrderedJson entry(int64_t index, const Choice& choice, const OrderedJson& reason) const {
    OrderedJson json;
    json["index"] = index;
    json["text"] = choice.text;
    json["logprobs"] = logprobs_ ? choice.logprobs.json() : OrderedJson();
    json["finish_reason"] = reason;
    return json;
  }
  void flush(int64_t index, const OrderedJson& reason) {
    if (!started_) responder_->start_stream("text/event-stream");
    started_ = true;
    Choice& choice = choices_[index];
    OrderedJson json = head();
    json["choices"] = OrderedJson::array({entry(index, choice, reason)});
    if (usage_) json["usage"] = nullptr;
    responder_->write(sse_event(dump(json)));
    choice.text.clear();
    choice.logprobs.clear();
  }
  void echo_logprobs(Choice& choice, const EchoedPrompt& prompt,
                     const engine::PromptResult& result) const {
    // result.logprobs[i] is of the engine's token i + 1; without its first token, the server's
    // begin of text, every token of the prompt has one.
    for (size_t i = 0; i < prompt.tokens.size(); ++i) {
      const engine::TokenLogprobs* logprobs = nullptr;
      if (prompt.bos_added) logprobs = &result.logprobs[i];
      if (!prompt.bos_added && i > 0) logprobs = &result.logprobs[i - 1];
      choice.logprobs.add(*tokenizer_, prompt.tokens[i],
                          text::utf8_with_replacement(tokenizer_->token_bytes(prompt.tokens[i])),
                          logprobs);
    }
  }

  std::shared_ptr<const text::Tokenizer> tokenizer_;
  ResponderPtr responder_;
  int64_t n_;
  bool echo_;
  bool logprobs_;
  bool stream_;
  bool usage_;
  std::vector<EchoedPrompt> prompts_;
  std::string id_;
  std::string model_;
  int64_t created_;
  bool started_ = false;
  std::map<int64_t, Choice> choices_;
};

// A text gets a begin of text before it; a list of tokens is taken as it is.
std::vector<int32_t> prompt_tokens(const text::Tokenizer& tokenizer, const InputText& prompt,
                                   EchoedPrompt& echoed) {
  std::vector<int32_t> tokens = input_tokens(tokenizer, prompt);
  if (const auto* text = std::get_if<std::string>(&prompt)) {
    echoed.text = *text;
    echoed.tokens = tokenizer.encode(*text, {.special = text::SpecialText::kAll});
    echoed.bos_added = tokens.size() > echoed.tokens.size();
    return tokens;
  }
  echoed.tokens = tokens;
  for (const int32_t token : tokens) echoed.text += tokenizer.token_bytes(token);
  echoed.text = text::utf8_with_replacement(echoed.text);
  return tokens;
}

}  // namespace

std::vector<int32_t> input_tokens(const text::Tokenizer& tokenizer, const InputText& text) {
  if (const auto* tokens = std::get_if<std::vector<int32_t>>(&text)) {
    for (const int32_t token : *tokens) {
      if (token < tokenizer.vocab_size()) continue;
      throw ApiError(400, str("the token ", token, " is none of the ", tokenizer.vocab_size(),
                              " of the model"));
    }
    return *tokens;
  }
  std::vector<int32_t> tokens =
      tokenizer.encode(std::get<std::string>(text), {.special = text::SpecialText::kAll});
  const auto bos = tokenizer.bos_id();
  if (bos && (tokens.empty() || tokens.front() != *bos)) tokens.insert(tokens.begin(), *bos);
  return tokens;
}

void post_completions(Backend& backend, const Call& call) {
  const CompletionRequest request = parse_completion(call.http.body);
  const Lease model = backend.shelf.open(request.answer.model);
  std::vector<engine::Request> requests;
  std::vector<EchoedPrompt> echoed;
  std::vector<Dialog> asked;
  for (const auto& prompt : request.prompts) {
    echoed.emplace_back();
    requests.push_back(model->request(
        request.answer, {.tokens = prompt_tokens(*model->tokenizer(), prompt, echoed.back())},
        call.client));
    asked.push_back({text::text_message("user", echoed.back().text)});
    if (request.echo) requests.back().prompt_logprobs = request.answer.generate.logprobs;
  }
  auto writer =
      std::make_shared<CompletionWriter>(*model, call.responder, request, std::move(echoed));
  answer_moderated(backend.moderation, call, std::move(asked), model, std::move(requests),
                   std::move(writer));
}

}  // namespace corral::serve
