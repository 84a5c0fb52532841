#include "serve/guard_model.h"

#include <mutex>
#include <optional>
#include <span>
#include <utility>

#include "engine/constraint/grammar_text.h"
#include "engine/image_prompt.h"

namespace corral::serve {
namespace {

constexpr const char* kVerdicts = "safe|unsafe(\\nS\\d{1,2}(, ?S\\d{1,2}){0,15})?";
constexpr int64_t kMostTokens = 96;  // of a verdict; one of 16 categories has fewer

Verdict no_verdict(int status, const std::string& why) {
  return {.safe = false, .error = std::make_shared<ApiError>(status, "the guard model: " + why)};
}

}  // namespace

Verdict read_verdict(const std::string& text) {
  if (text == "safe") return {};
  constexpr std::string_view kUnsafe = "unsafe";
  if (!text.starts_with(kUnsafe)) return no_verdict(503, "has no verdict");
  const size_t line = text.find('\n');
  return {.safe = false, .categories = line == text.npos ? "" : text.substr(line + 1)};
}

/// One verdict on its way.
class GuardModel::Judging : public Moderator::Handle, public engine::Sink {
 public:
  explicit Judging(Told told) : told_(std::move(told)) {}

  void submit(engine::Engine& engine, engine::Request request) {
    if (const auto failure = try_to_submit(engine, std::move(request))) tell(*failure);
  }
  void refuse(int status, const std::string& why) { tell(no_verdict(status, why)); }
  void cancel(engine::Engine& engine) {
    const std::lock_guard lock(mutex_);
    cancelled_ = true;
    if (id_) engine.cancel(*id_);
  }

  void on_step(int64_t, engine::Step step) override { text_ += step.text; }
  void on_finish(int64_t, engine::FinishReason reason) override { reason_ = reason; }
  void on_end(const engine::Outcome& outcome) override {
    if (!outcome.error.empty()) return refuse(503, outcome.error);
    if (reason_ == engine::FinishReason::kCancelled) return refuse(499, "nobody waits for it");
    tell(read_verdict(text_));
  }

 private:
  // Once; who is told often keeps this object, and is let go of.
  void tell(const Verdict& verdict) { std::exchange(told_, nullptr)(verdict); }
  std::optional<Verdict> try_to_submit(engine::Engine& engine, engine::Request request) {
    const std::lock_guard lock(mutex_);
    if (cancelled_) return no_verdict(499, "nobody waits for it");
    try {
      id_ = engine.submit(std::move(request));
      return std::nullopt;
    } catch (const engine::Overloaded& error) {
      return no_verdict(429, error.what());
    } catch (const Error& error) {
      return no_verdict(400, error.what());
    }
  }

  Told told_;
  std::string text_;
  engine::FinishReason reason_ = engine::FinishReason::kLength;
  std::mutex mutex_;  // of what is below
  std::optional<int64_t> id_;
  bool cancelled_ = false;
};

GuardModel::GuardModel(std::unique_ptr<Service> model, GuardPrompt prompt)
    : model_(std::move(model)),
      prompt_(std::move(prompt)),
      format_(model_->tokenizer()),
      constraint_(std::make_shared<engine::Constraint>(
          engine::regex_grammar(kVerdicts), engine::TokenTrie::create(model_->tokenizer()))),
      worker_(1) {}

// Throws ApiError 400 when the last message alone is too long.
engine::Prompt GuardModel::prompt_of(const Dialog& conversation) const {
  std::span<const text::ChatMessage> shown = conversation;
  const int64_t room = model_->engine().context_tokens() - kMostTokens;
  while (true) {
    const text::ChatMessage question = text::text_message("user", prompt_.write(shown));
    engine::Prompt prompt = engine::chat_prompt(format_, {&question, 1}, {});
    const auto tokens = static_cast<int64_t>(prompt.tokens.size());
    if (tokens <= room) return prompt;
    if (shown.size() <= 1) {
      throw ApiError(400, str("it takes ", room, " tokens, this message needs ", tokens));
    }
    shown = shown.subspan((shown.size() + 1) / 2);
  }
}

std::shared_ptr<Moderator::Handle> GuardModel::judge(const Dialog& conversation,
                                                     const std::string& client, Told told) {
  auto judging = std::make_shared<Judging>(std::move(told));
  worker_.post([this, conversation, client, judging] {
    engine::Request request;
    try {
      request.prompt = prompt_of(conversation);
    } catch (const ApiError& error) {
      return judging->refuse(error.status(), error.what());
    } catch (const std::exception& error) {
      return judging->refuse(503, error.what());
    }
    request.options.sampling.temperature = 0;
    request.options.max_tokens = kMostTokens;
    request.options.constraint = constraint_;
    request.client = client;
    request.sink = judging;
    judging->submit(model_->engine(), std::move(request));
  });
  return judging;
}

void GuardModel::cancel(Handle& judging) {
  static_cast<Judging&>(judging).cancel(model_->engine());
}

}  // namespace corral::serve
