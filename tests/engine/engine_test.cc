#include "engine/engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "engine/engine_fixture.h"

namespace corral::engine {
namespace {

using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

using fixture::Waiting;

class EngineTest : public ::testing::Test {
 protected:
  DevicePtr device = Device::cpu({.threads = 1, .isa = simd::detect_isa()});
  model::Config config = fixture::byte_config();
  model::TextModel model = corral::test::tiny_model(config, device);
  std::shared_ptr<const text::Tokenizer> tokenizer = corral::test::byte_tokenizer();

  Request request(int64_t prompt_tokens, int64_t max_tokens) const {
    Request r;
    r.prompt.tokens = corral::test::some_tokens(prompt_tokens, config.vocab_size);
    r.options.max_tokens = max_tokens;
    r.options.ignore_stop_tokens = true;
    r.sink = std::make_shared<Waiting>();
    return r;
  }
  static Waiting& sink(const Request& r) { return static_cast<Waiting&>(*r.sink); }
};

TEST_F(EngineTest, AnswersManyThreadsAtOnce) {
  Engine engine(model, tokenizer, fixture::roomy());
  std::vector<Request> requests;
  for (int i = 0; i < 8; ++i) requests.push_back(request(5 + i, 12));
  std::vector<std::thread> threads;
  for (Request& r : requests) {
    threads.emplace_back([&] {
      engine.submit(r);
      sink(r).wait_end();
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const Request& r : requests) {
    EXPECT_EQ(sink(r).choices.at(0).tokens,
              Session(model, tokenizer).generate(r.prompt, r.options).tokens);
  }
  EXPECT_TRUE(engine.drain_and_wait(std::chrono::minutes(1)));
  const SchedulerStats stats = engine.stats();
  EXPECT_EQ(stats.requests, 8);
  EXPECT_EQ(stats.answer_tokens, 8 * 12);
  EXPECT_EQ(stats.finished.at("length"), 8);
  EXPECT_EQ(stats.running, 0);
}

TEST_F(EngineTest, CancelsWhileItRuns) {
  Engine engine(model, tokenizer, fixture::roomy());
  const Request r = request(5, 4000);
  const int64_t id = engine.submit(r);
  sink(r).wait_tokens(3);
  engine.cancel(id);
  sink(r).wait_end();
  EXPECT_EQ(sink(r).choices.at(0).reason, FinishReason::kCancelled);
}

TEST_F(EngineTest, RefusesWhenTooMuchWaits) {
  SchedulerOptions options = fixture::roomy();
  options.max_running = 1;
  options.max_waiting = 2;
  Engine engine(model, tokenizer, options);
  std::vector<Request> accepted;
  const auto fill = [&] {
    for (int i = 0; i < 10; ++i) {
      accepted.push_back(request(4, 4000));
      engine.submit(accepted.back());
    }
  };
  EXPECT_THAT(fill, ThrowsMessage<Overloaded>(HasSubstr("2 requests wait already")));
  EXPECT_GE(accepted.size(), 3u);
}

TEST_F(EngineTest, FinishesWhatItAcceptedBeforeItCloses) {
  Engine engine(model, tokenizer, fixture::roomy());
  const Request r = request(5, 40);
  engine.submit(r);
  EXPECT_TRUE(engine.drain_and_wait(std::chrono::minutes(1)));
  EXPECT_EQ(sink(r).choices.at(0).tokens.size(), 40u);
  EXPECT_THAT([&] { engine.submit(request(5, 1)); },
              ThrowsMessage<Overloaded>(HasSubstr("shutting down")));
}

TEST_F(EngineTest, EndsEverythingWhenItIsDestroyed) {
  const Request r = request(5, 4000);
  {
    Engine engine(model, tokenizer, fixture::roomy());
    engine.submit(r);
    sink(r).wait_tokens(1);
  }
  EXPECT_TRUE(sink(r).outcome.has_value());
  EXPECT_THAT(sink(r).outcome.value().error, HasSubstr("shutting down"));
}

}  // namespace
}  // namespace corral::engine
