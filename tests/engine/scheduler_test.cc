#include "engine/scheduler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "autograd/tape.h"
#include "base/error.h"
#include "base/random.h"
#include "engine/engine_fixture.h"
#include "model/recorder.h"
#include "support/temp_dir.h"

namespace corral::engine {
namespace {

using fixture::Heard;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

class SchedulerTest : public fixture::SchedulerFixture {
 protected:
  static Request request(std::vector<int32_t> tokens, GenerateOptions generate) {
    Request r;
    r.prompt.tokens = std::move(tokens);
    r.options = std::move(generate);
    r.sink = std::make_shared<Heard>();
    return r;
  }
  std::shared_ptr<Heard> add(Scheduler& scheduler, const Request& r) {
    scheduler.check(r);
    scheduler.add(next_id++, r);
    return std::static_pointer_cast<Heard>(r.sink);
  }
  static void finish(Scheduler& scheduler, int most_steps = 10000) {
    while (!scheduler.idle() && most_steps-- > 0) scheduler.step();
    ASSERT_TRUE(scheduler.idle());
  }
  Answer alone(const Request& r, int64_t index = 0) const {
    GenerateOptions o = r.options;
    o.sampling.seed += static_cast<uint64_t>(index);
    return Session(model, tokenizer).generate(r.prompt, o);
  }
};

TEST_F(SchedulerTest, AnswersAsASessionDoes) {
  Scheduler scheduler(model, tokenizer, fixture::roomy());
  for (const double temperature : {0.0, 1.0}) {
    const Request r = request(prompt(37), options(50, temperature, 5));
    const auto heard = add(scheduler, r);
    finish(scheduler);
    const Answer expected = alone(r);
    EXPECT_EQ(heard->choices.at(0).tokens, expected.tokens);
    EXPECT_EQ(heard->choices.at(0).text, expected.text);
    EXPECT_EQ(heard->choices.at(0).reason, FinishReason::kLength);
    EXPECT_EQ(heard->prompt.tokens, 37);
    EXPECT_EQ(heard->prompts, 1);
    EXPECT_EQ(heard->outcome.value().answer_tokens, 50);
    EXPECT_EQ(heard->outcome.value().error, "");
  }
}

TEST_F(SchedulerTest, MixesPiecesOfPromptsWithDecoding) {
  SchedulerOptions o = fixture::roomy();
  o.step_tokens = 32;
  o.max_running = 8;
  Scheduler scheduler(model, tokenizer, o);
  const Request first = request(prompt(5), options(60));
  const auto one = add(scheduler, first);
  scheduler.step();
  const size_t before = one->choices.at(0).tokens.size();
  const Request second = request(prompt(200, 3), options(10));
  const auto two = add(scheduler, second);
  // The long prompt needs many steps; each brings the first answer one token further.
  int steps = 0;
  while (two->prompts == 0) {
    scheduler.step();
    ++steps;
    ASSERT_EQ(one->choices.at(0).tokens.size(), std::min<size_t>(before + steps, 60));
    ASSERT_LT(steps, 100);
  }
  EXPECT_GE(steps, 6);
  finish(scheduler);
  EXPECT_EQ(one->choices.at(0).tokens, alone(first).tokens);
  EXPECT_EQ(two->choices.at(0).tokens, alone(second).tokens);
}

TEST_F(SchedulerTest, DrawsSeveralChoicesFromOnePrompt) {
  Scheduler scheduler(model, tokenizer, fixture::roomy());
  Request r = request(prompt(40), options(20, 1.0, 9));
  r.choices = 3;
  const auto heard = add(scheduler, r);
  finish(scheduler);
  for (int64_t index = 0; index < 3; ++index) {
    EXPECT_EQ(heard->choices.at(index).tokens, alone(r, index).tokens) << index;
  }
  EXPECT_NE(heard->choices.at(0).tokens, heard->choices.at(1).tokens);
  EXPECT_EQ(scheduler.stats().prompt_tokens, 40);
  EXPECT_EQ(heard->outcome.value().answer_tokens, 60);
}

// FACTS 1B row 12: a warm server answers as a cold one, whatever the cache still holds.
TEST_F(SchedulerTest, GivesColdAnswersFromAWarmPrefixCache_FactsRow12) {
  Scheduler scheduler(model, tokenizer, fixture::roomy());
  const auto tokens = prompt(150);
  for (const int64_t length : {150, 20, 64, 65, 128, 140, 16, 150, 33}) {
    const Request r = request({tokens.begin(), tokens.begin() + length}, options(12, 1.0, 2));
    const auto heard = add(scheduler, r);
    finish(scheduler);
    EXPECT_EQ(heard->choices.at(0).tokens, alone(r).tokens) << length;
    // The chunk is 16: less than that is computed again, and always the last token.
    if (length != 150) {
      EXPECT_GT(heard->prompt.cached_tokens, length - 1 - 16) << length;
    }
  }
}

TEST_F(SchedulerTest, GivesColdAnswersFromPagesOnDisk) {
  const corral::test::TempDir folder;
  SchedulerOptions o = fixture::roomy();
  o.step_tokens = 32;
  o.max_running = 8;
  o.kv_bytes = bytes_of(220, 32);
  o.kv_disk = folder.path();
  Scheduler scheduler(model, tokenizer, o);
  // Three conversations in turn, of which memory holds one.
  for (int32_t round = 0; round < 3; ++round) {
    for (int32_t shift = 0; shift < 3; ++shift) {
      Request r = request(prompt(150 + 20 * round, shift), options(12, 1.0, 2));
      r.options.logprobs = 2;
      const auto heard = add(scheduler, r);
      finish(scheduler);
      Scheduler cold(model, tokenizer, fixture::roomy());
      r.sink = std::make_shared<Heard>();
      const auto expected = add(cold, r);
      finish(cold);
      ASSERT_EQ(heard->choices.at(0).tokens, expected->choices.at(0).tokens);
      for (size_t i = 0; i < 12; ++i) {
        EXPECT_EQ(heard->choices.at(0).logprobs[i].token.logprob,
                  expected->choices.at(0).logprobs[i].token.logprob);
      }
      if (round > 0) {
        EXPECT_GT(heard->prompt.cached_tokens, 120) << round << " " << shift;
      }
    }
  }
  EXPECT_GT(scheduler.stats().loaded_bytes, 0);
}

TEST_F(SchedulerTest, AnswersGrowWhileABeginningComesFromDisk) {
  const corral::test::TempDir folder;
  SchedulerOptions o = fixture::roomy();
  o.step_tokens = 32;
  o.max_running = 8;
  o.kv_bytes = bytes_of(600, 32);
  o.kv_disk = folder.path();
  o.fetch_bytes = 1;  // a block a step
  Scheduler scheduler(model, tokenizer, o);
  // The first of three conversations does not stay in memory.
  for (int32_t shift = 0; shift < 3; ++shift) {
    add(scheduler, request(prompt(300, shift), options(4)));
    finish(scheduler);
  }
  EXPECT_GT(scheduler.stats().prefix_disk_bytes, 0);
  const auto grows = add(scheduler, request(prompt(20, 7), options(40)));
  while (grows->choices.empty()) scheduler.step();
  const size_t before = grows->choices.at(0).tokens.size();
  const auto comes = add(scheduler, request(prompt(300), options(4)));
  while (comes->prompt.tokens == 0) scheduler.step();
  EXPECT_EQ(comes->prompt.cached_tokens, 299);
  EXPECT_GE(grows->choices.at(0).tokens.size(), before + 2);
  finish(scheduler);
}

TEST_F(SchedulerTest, TellsTheExpertsThatChoseEachToken) {
  SchedulerOptions o = fixture::roomy();
  o.step_tokens = 32;
  o.max_running = 8;
  Scheduler scheduler(model, tokenizer, o);
  const auto tokens = prompt(70);
  Request asking = request(tokens, options(20, 1.0, 4));
  asking.expert_routing = true;
  asking.choices = 2;
  const auto with = add(scheduler, asking);
  const auto without = add(scheduler, request(prompt(50, 2), options(20)));
  finish(scheduler);
  for (int64_t index = 0; index < 2; ++index) {
    const auto& choice = with->choices.at(index);
    ASSERT_EQ(choice.experts.size(), choice.tokens.size());
    auto all = tokens;
    all.insert(all.end(), choice.tokens.begin(), choice.tokens.end());
    // One pass over prompt and answer, without cache.
    corral::test::Recorder routes;
    kv::Batch batch;
    batch.append(all, 0);
    model.hidden(batch, {.observer = &routes});
    for (size_t i = 0; i < choice.experts.size(); ++i) {
      std::vector<int32_t> expected;
      for (const auto& [layer, experts] : routes.experts) {
        expected.push_back(experts[tokens.size() - 1 + i]);
      }
      ASSERT_FALSE(expected.empty());
      EXPECT_EQ(choice.experts[i], expected) << i;
    }
  }
  for (const auto& experts : without->choices.at(0).experts) EXPECT_TRUE(experts.empty());
}

TEST_F(SchedulerTest, MakesEmbeddingsThatNeitherPiecesNorTheCacheChange) {
  const auto tokens = prompt(70);
  kv::Batch batch;
  batch.append(tokens, 0);
  const autograd::NoGrad no_grad;
  const Tensor hidden_TD = model.hidden(batch);
  const auto D = static_cast<size_t>(hidden_TD.dim(1));
  std::vector<double> mean(D, 0);
  for (int64_t row = 0; row < 70; ++row) {
    for (size_t d = 0; d < D; ++d) {
      mean[d] += hidden_TD.values<float>()[static_cast<size_t>(row) * D + d];
    }
  }
  for (const int64_t step_tokens : {3, 64, 512}) {
    SchedulerOptions o = fixture::roomy();
    o.step_tokens = step_tokens;
    o.max_running = 3;
    Scheduler scheduler(model, tokenizer, o);
    for (const Pooling pooling : {Pooling::kMean, Pooling::kLast, Pooling::kMean}) {
      Request r = request(tokens, options(0));
      r.embedding = pooling;
      const auto heard = add(scheduler, r);
      finish(scheduler);
      ASSERT_EQ(heard->prompt.embedding.size(), D);
      EXPECT_EQ(heard->outcome.value().answer_tokens, 0);
      for (size_t d = 0; d < D; ++d) {
        const float expected = pooling == Pooling::kMean ? static_cast<float>(mean[d] / 70)
                                                         : hidden_TD.values<float>()[69 * D + d];
        EXPECT_EQ(heard->prompt.embedding[d], expected) << d << " by " << step_tokens;
      }
    }
  }
}

TEST_F(SchedulerTest, ReadsTheLogProbabilitiesOfAPrompt) {
  SchedulerOptions o = fixture::roomy();
  o.step_tokens = 7;
  o.max_running = 1;
  Scheduler scheduler(model, tokenizer, o);
  const auto tokens = prompt(20);
  for (int round = 0; round < 2; ++round) {  // the second time the prefix is known
    Request r = request(tokens, options(0));
    r.prompt_logprobs = 2;
    const auto heard = add(scheduler, r);
    finish(scheduler);
    ASSERT_EQ(heard->prompt.logprobs.size(), 19u);
    for (size_t i = 0; i < 19; ++i) {
      Session session(model, tokenizer);
      const Tensor logits = session.prefill(std::span(tokens).first(i + 1));
      const auto expected = token_logprobs(logits.values<float>(), tokens[i + 1], 2);
      EXPECT_EQ(heard->prompt.logprobs[i].token.token, tokens[i + 1]);
      EXPECT_EQ(heard->prompt.logprobs[i].token.logprob, expected.token.logprob) << i;
      EXPECT_EQ(heard->prompt.logprobs[i].top[1].token, expected.top[1].token);
    }
    EXPECT_TRUE(heard->choices.at(0).tokens.empty());
    EXPECT_EQ(heard->choices.at(0).reason, FinishReason::kLength);
  }
}

TEST_F(SchedulerTest, CancelsAndKeepsTheOthers) {
  Scheduler scheduler(model, tokenizer, fixture::roomy());
  const Request kept = request(prompt(30), options(30));
  const auto stays = add(scheduler, kept);
  const auto goes = add(scheduler, request(prompt(30, 1), options(30)));
  const int64_t id = next_id - 1;
  for (int i = 0; i < 5; ++i) scheduler.step();
  scheduler.cancel(id);
  scheduler.step();
  EXPECT_EQ(goes->choices.at(0).reason, FinishReason::kCancelled);
  EXPECT_TRUE(goes->outcome.has_value());
  EXPECT_LE(goes->choices.at(0).tokens.size(), 5u);
  scheduler.cancel(id);  // twice is once
  scheduler.cancel(12345);
  finish(scheduler);
  EXPECT_EQ(stays->choices.at(0).tokens, alone(kept).tokens);
}

TEST_F(SchedulerTest, EndsWhatIsTooLate) {
  SchedulerOptions o = fixture::roomy();
  o.max_running = 1;
  Scheduler scheduler(model, tokenizer, o);
  const auto runs = add(scheduler, request(prompt(4), options(5)));
  Request late = request(prompt(4), options(5));
  late.deadline = Clock::now() - std::chrono::seconds(1);
  late.choices = 2;
  const auto waits = add(scheduler, late);
  scheduler.step();
  EXPECT_EQ(waits->choices.at(0).reason, FinishReason::kDeadline);
  EXPECT_EQ(waits->choices.at(1).reason, FinishReason::kDeadline);
  EXPECT_TRUE(waits->outcome.has_value());
  finish(scheduler);
  EXPECT_EQ(runs->choices.at(0).reason, FinishReason::kLength);
}

TEST_F(SchedulerTest, ASinkThatThrowsIsGone) {
  struct Gone : Heard {
    void on_step(int64_t, Step) override { throw Error("nobody there"); }
  };
  Scheduler scheduler(model, tokenizer, fixture::roomy());
  Request r = request(prompt(4), options(50));
  r.sink = std::make_shared<Gone>();
  const auto gone = add(scheduler, r);
  finish(scheduler, 5);
  EXPECT_EQ(gone->choices.at(0).reason, FinishReason::kCancelled);
}

TEST_F(SchedulerTest, ServesPrioritiesFirstAndClientsInTurn) {
  SchedulerOptions o = fixture::roomy();
  o.max_running = 1;
  Scheduler scheduler(model, tokenizer, o);
  std::vector<std::string> order;
  struct Named : Heard {
    std::string name;
    std::vector<std::string>* order = nullptr;
    void on_end(const Outcome&) override { order->push_back(name); }
  };
  const auto send = [&](const std::string& name, const std::string& client, int32_t priority) {
    Request r = request(prompt(3), options(1));
    auto sink = std::make_shared<Named>();
    sink->name = name;
    sink->order = &order;
    r.sink = sink;
    r.client = client;
    r.priority = priority;
    scheduler.add(next_id++, r);
  };
  for (const char* name : {"a1", "a2", "a3"}) send(name, "a", 0);
  send("b1", "b", 0);
  send("c1", "c", 1);
  send("b2", "b", 0);
  finish(scheduler);
  EXPECT_EQ(order, (std::vector<std::string>{"c1", "a1", "b1", "a2", "b2", "a3"}));
}

TEST_F(SchedulerTest, ParksWhoCameLastWhenMemoryIsShort) {
  SchedulerOptions o = fixture::roomy();
  o.step_tokens = 8;
  o.max_running = 8;
  o.prefix_cache = false;
  // Four beginnings fit, four long answers do not.
  o.kv_bytes = bytes_of(162, 8) + bytes_of(64, 8);
  Scheduler scheduler(model, tokenizer, o);
  std::vector<Request> requests;
  std::vector<std::shared_ptr<Heard>> heard;
  for (int32_t i = 0; i < 5; ++i) {
    requests.push_back(request(prompt(10 + i, i), options(145, 1.0, 7)));
    heard.push_back(add(scheduler, requests.back()));
  }
  while (!scheduler.idle()) {
    scheduler.step();
    ASSERT_LE(scheduler.cache().bytes(), o.kv_bytes);
  }
  EXPECT_GT(scheduler.stats().parked, 0);
  for (size_t i = 0; i < requests.size(); ++i) {
    EXPECT_EQ(heard[i]->choices.at(0).tokens, alone(requests[i]).tokens) << i;
  }
  EXPECT_EQ(scheduler.cache().bytes(), 0);
}

// Random arrivals, cancellations, priorities, choices and shared beginnings under a memory that is
// far too small: every answer is the one that a session alone gives, and no page is lost.
TEST_F(SchedulerTest, WalksRandomlyWithoutChangingATokenOrLosingAPage) {
  for (uint64_t walk = 0; walk < 4; ++walk) {
    const Philox random(100 + walk);
    uint64_t drawn = 0;
    const auto below = [&](uint64_t n) { return static_cast<int64_t>(random.below(n, drawn++)); };
    SchedulerOptions o = fixture::roomy();
    o.step_tokens = 8 + below(60);
    o.max_running = 1 + below(8);
    o.context_tokens = 160;
    o.prefix_cache = walk != 0;
    o.kv_bytes = bytes_of(160, o.step_tokens) + bytes_of(1 + below(150), o.step_tokens);
    Scheduler scheduler(model, tokenizer, o);
    struct Sent {
      Request request;
      std::shared_ptr<Heard> heard;
      int64_t id;
      bool cancelled = false;
    };
    std::vector<Sent> sent;
    for (int step = 0; step < 160; ++step) {
      if (step < 120 && below(8) == 0) {
        auto tokens = prompt(1 + below(110));
        // Half of the prompts share a beginning.
        const auto same =
            static_cast<size_t>(below(2) * below(static_cast<uint64_t>(tokens.size())));
        for (size_t i = same; i < tokens.size(); ++i) tokens[i] = static_cast<int32_t>(below(200));
        Request r = request(tokens, options(below(48), static_cast<double>(below(2)),
                                            static_cast<uint64_t>(below(100))));
        r.options.ignore_stop_tokens = below(2) == 0;
        r.choices = 1 + below(5) / 4 * 2;
        r.priority = static_cast<int32_t>(below(3));
        r.client = std::string(1, static_cast<char>('a' + below(3)));
        const auto heard = add(scheduler, r);
        sent.push_back({r, heard, next_id - 1});
      }
      if (!sent.empty() && below(40) == 0) {
        Sent& victim = sent[static_cast<size_t>(below(sent.size()))];
        scheduler.cancel(victim.id);
        victim.cancelled = true;
      }
      scheduler.step();
      ASSERT_LE(scheduler.cache().bytes(), o.kv_bytes);
    }
    finish(scheduler);
    for (const Sent& s : sent) {
      ASSERT_TRUE(s.heard->outcome.has_value());
      ASSERT_EQ(s.heard->outcome->error, "");
      ASSERT_EQ(static_cast<int64_t>(s.heard->choices.size()), s.request.choices);
      for (const auto& [index, choice] : s.heard->choices) {
        const Answer expected = alone(s.request, index);
        if (choice.reason == FinishReason::kCancelled) {
          EXPECT_TRUE(s.cancelled);
          ASSERT_LE(choice.tokens.size(), expected.tokens.size());
          EXPECT_TRUE(
              std::equal(choice.tokens.begin(), choice.tokens.end(), expected.tokens.begin()));
        } else {
          EXPECT_EQ(choice.tokens, expected.tokens) << "walk " << walk << " request " << s.id;
          EXPECT_EQ(choice.text, expected.text);
          EXPECT_EQ(choice.reason, expected.reason);
        }
      }
    }
    scheduler.clear_prefix_cache();
    EXPECT_EQ(scheduler.cache().bytes(), 0) << "walk " << walk;
  }
}

TEST_F(SchedulerTest, RefusesWhatCanNeverBeAnsweredAndNamesTheLimit) {
  SchedulerOptions o = fixture::roomy();
  o.context_tokens = 100;
  const Scheduler scheduler(model, tokenizer, o);
  const auto refused = [&](const Request& r, const std::string& why) {
    EXPECT_THAT([&] { scheduler.check(r); }, ThrowsMessage<UsageError>(HasSubstr(why)));
  };
  scheduler.check(request(prompt(90), options(10)));
  refused(request(prompt(91), options(10)),
          "the prompt has 91 tokens and the answer may have 10: together more than the context of "
          "100 tokens");
  refused(request({}, options(10)), "an empty prompt");
  refused(request({-1}, options(10)), "the prompt's token -1 is none of the 264");
  refused(request({264}, options(10)), "the prompt's token 264");
  refused(request(prompt(3), options(-1)), "max_tokens is -1, needs 0 to 100");
  refused(request(prompt(3), options(101)), "max_tokens is 101");
  Request r = request(prompt(3), options(3));
  r.choices = 17;
  refused(r, "n is 17, needs 1 to 16");
  r.choices = 1;
  r.options.logprobs = 101;
  refused(r, "logprobs is 101");
  r.options.logprobs.reset();
  r.options.sampling.logit_bias = {{264, 1.0}};
  refused(r, "logit_bias: 264 is none of the 264 tokens");
}

TEST_F(SchedulerTest, TheContextIsWhatMemoryAllows) {
  SchedulerOptions o = fixture::roomy();
  o.step_tokens = 64;
  o.max_running = 4;
  o.kv_bytes = bytes_of(128, 64);
  EXPECT_EQ(Scheduler(model, tokenizer, o).context_tokens(), 128);
  o.kv_bytes = 10;
  EXPECT_THAT([&] { Scheduler(model, tokenizer, o); },
              ThrowsMessage<UsageError>(HasSubstr("kv_bytes is 10: two tokens alone need")));
}

}  // namespace
}  // namespace corral::engine
