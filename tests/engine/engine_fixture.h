#pragma once

#include <gtest/gtest.h>

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "engine/scheduler.h"
#include "engine/session.h"
#include "model/tiny_model.h"

namespace corral::engine::fixture {

/// What a sink heard.
struct Heard : Sink {
  struct Choice {
    std::vector<int32_t> tokens;
    std::string text;
    std::vector<TokenLogprobs> logprobs;
    std::vector<std::vector<int32_t>> experts;  // of each token
    std::optional<FinishReason> reason;
    int32_t stop_token = -1;
  };
  PromptResult prompt;
  int prompts = 0;
  std::map<int64_t, Choice> choices;
  std::optional<Outcome> outcome;

  void on_prompt(PromptResult result) override {
    prompt = std::move(result);
    ++prompts;
  }
  void on_step(int64_t index, Step step) override {
    Choice& choice = choices[index];
    if (step.is_stop_token) {
      choice.stop_token = step.token;
    } else {
      choice.tokens.push_back(step.token);
      choice.experts.push_back(step.experts);
    }
    choice.text += step.text;
    if (step.logprobs) choice.logprobs.push_back(*step.logprobs);
  }
  void on_finish(int64_t index, FinishReason reason) override {
    if (choices[index].reason) throw Error("a choice finished twice");
    choices[index].reason = reason;
  }
  void on_end(const Outcome& result) override {
    if (outcome) throw Error("a request ended twice");
    outcome = result;
  }
};

/// Waits for the end on another thread than the engine's.
struct Waiting : Heard {
  void on_step(int64_t index, Step step) override {
    const std::lock_guard lock(mutex);
    Heard::on_step(index, std::move(step));
    changed.notify_all();
  }
  void on_end(const Outcome& result) override {
    const std::lock_guard lock(mutex);
    Heard::on_end(result);
    changed.notify_all();
  }
  void wait_end() {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return outcome.has_value(); });
  }
  void wait_tokens(size_t count) {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return choices[0].tokens.size() >= count; });
  }
  std::mutex mutex;
  std::condition_variable changed;
};

/// The model and tokenizer of the tests here: as many tokens as the tokenizer has.
inline model::Config byte_config() {
  model::Config config = corral::test::tiny_config();
  config.vocab_size = 264;
  return config;
}

inline SchedulerOptions roomy() {
  SchedulerOptions options;
  options.kv_bytes = int64_t{1} << 28;
  return options;
}

/// A tiny model for schedulers, and what is asked of it.
class SchedulerFixture : public ::testing::Test {
 protected:
  DevicePtr device = Device::cpu({.threads = 1, .isa = simd::detect_isa()});
  model::Config config = byte_config();
  model::TextModel model = corral::test::tiny_model(config, device);
  std::shared_ptr<const text::Tokenizer> tokenizer = corral::test::byte_tokenizer();
  int64_t next_id = 1;

  std::vector<int32_t> prompt(int64_t tokens, int32_t shift = 0) const {
    auto result = corral::test::some_tokens(tokens, config.vocab_size);
    for (int32_t& token : result) {
      token = static_cast<int32_t>((token + shift) % config.vocab_size);
    }
    return result;
  }
  static GenerateOptions options(int64_t max_tokens, double temperature = 0, uint64_t seed = 0) {
    GenerateOptions o;
    o.max_tokens = max_tokens;
    o.ignore_stop_tokens = true;
    o.sampling.temperature = temperature;
    o.sampling.seed = seed;
    return o;
  }
  // The most that a sequence of so many tokens, fed in such pieces, takes of a cache.
  int64_t bytes_of(int64_t tokens, int64_t piece) const {
    return kv::KvCache(model.kv_layout(), device).most_bytes(tokens, piece);
  }
};

}  // namespace corral::engine::fixture
