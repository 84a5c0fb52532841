// A scheduler with a speculator says what one without it says.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "base/random.h"
#include "engine/constraint/grammar_text.h"
#include "engine/engine_fixture.h"
#include "engine/scheduler.h"
#include "engine/speculation/lookup_draft.h"
#include "engine/speculation/model_draft.h"
#include "engine/speculation/prophet.h"

namespace corral::engine {
namespace {

using fixture::even_steps;
using fixture::Heard;
using fixture::Prophet;

/// A reader who is gone after some tokens.
struct Leaves : Heard {
  explicit Leaves(size_t tokens) : after(tokens) {}
  void on_step(int64_t index, Step step) override {
    Heard::on_step(index, std::move(step));
    if (choices[index].tokens.size() == after) throw Error("nobody there");
  }
  size_t after;
};

class SchedulerGuesses : public fixture::SchedulerFixture {
 protected:
  static Request request(std::vector<int32_t> tokens, GenerateOptions generate) {
    Request r;
    r.prompt.tokens = std::move(tokens);
    r.options = std::move(generate);
    return r;
  }
  /// The same requests' answers, all sent at once.
  std::vector<std::shared_ptr<Heard>> answers(Scheduler& scheduler,
                                              const std::vector<Request>& requests) const {
    std::vector<std::shared_ptr<Heard>> heard;
    int64_t id = 0;
    for (Request r : requests) {
      heard.push_back(std::make_shared<Heard>());
      r.sink = heard.back();
      scheduler.check(r);
      scheduler.add(id++, std::move(r));
    }
    for (int step = 0; !scheduler.idle() && step < 10000; ++step) {
      scheduler.step();
      EXPECT_LE(scheduler.cache().bytes(), scheduler.cache().max_bytes());
    }
    EXPECT_TRUE(scheduler.idle());
    return heard;
  }
  void send(Scheduler& scheduler, Request r, std::shared_ptr<Heard> sink) {
    r.sink = std::move(sink);
    scheduler.add(next_id++, std::move(r));
  }
  std::vector<std::shared_ptr<Heard>> plain(const std::vector<Request>& requests) const {
    Scheduler scheduler(model, tokenizer, fixture::roomy());
    return answers(scheduler, requests);
  }
  /// Knows the answers.
  static std::unique_ptr<Speculator> prophet(const std::vector<Request>& requests,
                                             const std::vector<std::shared_ptr<Heard>>& heard,
                                             size_t wrong_every, int64_t most = 16) {
    std::vector<std::vector<int32_t>> texts;
    for (size_t i = 0; i < requests.size(); ++i) {
      for (const auto& [index, choice] : heard[i]->choices) {
        std::vector<int32_t>& text = texts.emplace_back(requests[i].prompt.tokens);
        text.insert(text.end(), choice.tokens.begin(), choice.tokens.end());
      }
    }
    return std::make_unique<Speculator>(std::make_unique<Prophet>(std::move(texts), wrong_every),
                                        most, even_steps());
  }
  static void expect_same(const std::vector<std::shared_ptr<Heard>>& with,
                          const std::vector<std::shared_ptr<Heard>>& without) {
    ASSERT_EQ(with.size(), without.size());
    for (size_t i = 0; i < with.size(); ++i) {
      ASSERT_EQ(with[i]->choices.size(), without[i]->choices.size()) << i;
      EXPECT_EQ(with[i]->prompts, without[i]->prompts);
      EXPECT_EQ(with[i]->outcome.value().answer_tokens, without[i]->outcome.value().answer_tokens);
      EXPECT_EQ(with[i]->outcome.value().error, without[i]->outcome.value().error);
      EXPECT_EQ(with[i]->outcome.value().identities, without[i]->outcome.value().identities);
      for (const auto& [index, wanted] : without[i]->choices) {
        const Heard::Choice& choice = with[i]->choices.at(index);
        EXPECT_EQ(choice.tokens, wanted.tokens) << i << " " << index;
        EXPECT_EQ(choice.text, wanted.text) << i;
        EXPECT_EQ(choice.reason, wanted.reason) << i;
        EXPECT_EQ(choice.stop_token, wanted.stop_token) << i;
        EXPECT_EQ(choice.experts, wanted.experts) << i;
        ASSERT_EQ(choice.logprobs.size(), wanted.logprobs.size()) << i;
        for (size_t t = 0; t < wanted.logprobs.size(); ++t) {
          EXPECT_EQ(choice.logprobs[t].token.logprob, wanted.logprobs[t].token.logprob) << t;
        }
      }
    }
  }

  /// Requests of every kind: greedy and drawn, penalties, choices, log probabilities, experts, a
  /// stop string, no answer, a session.
  std::vector<Request> mixture() const {
    std::vector<Request> all;
    all.push_back(request(prompt(37), options(50)));
    all.push_back(request(prompt(20, 3), options(40, 0.9, 4)));
    all.back().choices = 3;
    all.back().options.logprobs = 2;
    all.push_back(request(prompt(61, 5), options(33, 0.7, 1)));
    all.back().options.sampling.repetition_penalty = 1.3;
    all.back().options.sampling.frequency_penalty = 0.4;
    all.back().expert_routing = true;
    all.push_back(request(prompt(9, 8), options(60, 1.0, 2)));
    all.back().options.ignore_stop_tokens = false;
    all.back().session = 5;
    all.push_back(request(prompt(12, 1), options(0)));
    all.push_back(request(prompt(16, 2), options(45)));
    const Answer whole = Session(model, tokenizer).generate(all.back().prompt, options(45));
    all.back().options.stop = {whole.text.substr(whole.text.size() / 2, 3)};
    all.push_back(request(prompt(1, 9), options(1)));
    return all;
  }
};

TEST_F(SchedulerGuesses, ChangeNoAnswerBeTheyRightOrWrong) {
  const std::vector<Request> requests = mixture();
  const auto wanted = plain(requests);
  for (const size_t wrong_every : {1u, 2u, 5u, 1000u}) {
    for (const int64_t step_tokens : {9, 40, 512}) {
      SchedulerOptions o = fixture::roomy();
      o.step_tokens = step_tokens;
      o.max_running = 9;
      Scheduler scheduler(model, tokenizer, o, prophet(requests, wanted, wrong_every));
      expect_same(answers(scheduler, requests), wanted);
      const SchedulerStats stats = scheduler.stats();
      EXPECT_GT(stats.drafted, 0);
      if (wrong_every == 1) {
        EXPECT_EQ(stats.accepted, 0);
      }
      if (wrong_every == 1000) {
        EXPECT_GT(stats.accepted, 3 * stats.drafted / 4);
      }
      scheduler.clear_prefix_cache();
      EXPECT_EQ(scheduler.cache().bytes(), 0);
    }
  }
}

TEST_F(SchedulerGuesses, TakeFewerSteps) {
  const std::vector<Request> requests = {request(prompt(20), options(120)),
                                         request(prompt(30, 2), options(120))};
  const auto wanted = plain(requests);
  Scheduler scheduler(model, tokenizer, fixture::roomy(), prophet(requests, wanted, 1000));
  expect_same(answers(scheduler, requests), wanted);
  EXPECT_LT(scheduler.stats().steps, 40);
}

TEST_F(SchedulerGuesses, OfTextThatRepeatsAndOfAModel) {
  const std::vector<Request> requests = mixture();
  const auto wanted = plain(requests);
  const model::TextModel other = corral::test::tiny_model(config, device, 2);
  for (int kind = 0; kind < 3; ++kind) {
    std::unique_ptr<DraftSource> source = std::make_unique<LookupDraft>();
    if (kind > 0) {
      source = std::make_unique<ModelDraft>(kind == 1 ? model : other, tokenizer, model,
                                            tokenizer.get());
    }
    Scheduler scheduler(model, tokenizer, fixture::roomy(),
                        std::make_unique<Speculator>(std::move(source), 8, even_steps()));
    expect_same(answers(scheduler, requests), wanted);
    EXPECT_GT(scheduler.stats().drafted, 0) << kind;
    if (kind == 1) {
      EXPECT_GT(scheduler.stats().accepted, scheduler.stats().drafted / 2);
    }
  }
}

TEST_F(SchedulerGuesses, OfWhatIsExpectedAreRightFromTheBeginning) {
  std::vector<Request> requests = {request(prompt(30), options(60, 1.0, 3))};
  const auto wanted = plain(requests);
  requests[0].expected = wanted[0]->choices.at(0).tokens;
  Scheduler scheduler(
      model, tokenizer, fixture::roomy(),
      std::make_unique<Speculator>(std::make_unique<LookupDraft>(), 8, even_steps()));
  const auto heard = answers(scheduler, requests);
  expect_same(heard, wanted);
  EXPECT_LT(scheduler.stats().steps, 25);
  EXPECT_GT(heard[0]->outcome.value().accepted, 35);
  EXPECT_EQ(heard[0]->outcome.value().accepted, scheduler.stats().accepted);
  EXPECT_EQ(heard[0]->outcome.value().drafted, scheduler.stats().drafted);
}

// What an answer with drafts leaves in the prefix cache serves the next prompt as any other.
TEST_F(SchedulerGuesses, LeaveThePrefixesOfPlainAnswers) {
  std::vector<Request> first = {request(prompt(30), options(43))};
  const auto wanted = plain(first);
  for (const size_t wrong_every : {3u, 1000u}) {
    Scheduler scheduler(model, tokenizer, fixture::roomy(), prophet(first, wanted, wrong_every));
    answers(scheduler, first);
    std::vector<int32_t> next = prompt(30);
    const auto& tokens = wanted[0]->choices.at(0).tokens;
    next.insert(next.end(), tokens.begin(), tokens.end());
    next.push_back(7);
    const std::vector<Request> second = {request(next, options(12, 1.0, 3))};
    const auto heard = answers(scheduler, second);
    expect_same(heard, plain(second));
    EXPECT_EQ(heard[0]->prompt.cached_tokens, 30 + 42);  // all that went through the model
  }
}

TEST_F(SchedulerGuesses, FollowAConstraint) {
  std::vector<Request> requests = {request(prompt(20), options(60)),
                                   request(prompt(14, 1), options(60, 1.0, 3))};
  const auto vocabulary = TokenTrie::create(tokenizer);
  for (Request& r : requests) {
    r.options.constraint = std::make_shared<Constraint>(
        parse_grammar("root ::= (\"ab\" [0-9] | \"xyz\"){4,12}"), vocabulary);
  }
  const auto wanted = plain(requests);
  for (const size_t wrong_every : {2u, 1000u}) {
    Scheduler scheduler(model, tokenizer, fixture::roomy(), prophet(requests, wanted, wrong_every));
    expect_same(answers(scheduler, requests), wanted);
    EXPECT_GT(scheduler.stats().accepted, 0);
  }
}

TEST_F(SchedulerGuesses, GiveWayWhenMemoryIsShort) {
  std::vector<Request> requests;
  for (int32_t i = 0; i < 5; ++i) {
    requests.push_back(request(prompt(10 + i, i), options(145, 1.0, 7)));
  }
  const auto wanted = plain(requests);
  SchedulerOptions o = fixture::roomy();
  o.step_tokens = 24;
  o.max_running = 8;
  o.prefix_cache = false;
  o.kv_bytes = bytes_of(162, 24) + bytes_of(64, 24);
  Scheduler scheduler(model, tokenizer, o, prophet(requests, wanted, 7));
  expect_same(answers(scheduler, requests), wanted);
  EXPECT_GT(scheduler.stats().parked, 0);
  EXPECT_GT(scheduler.stats().accepted, 0);
  EXPECT_EQ(scheduler.cache().bytes(), 0);
}

// A guess that reaches into a page that memory has not is left out; nobody is parked for it.
TEST_F(SchedulerGuesses, ParkNobody) {
  config.attention_chunk_size = 256;
  config.normalise();
  model = corral::test::tiny_model(config, device);
  // The first needs its second page of 64 tokens soon; the second leaves shortly before its own.
  const std::vector<Request> requests = {request(prompt(62), options(40)),
                                         request(prompt(54, 2), options(60, 1.0, 3))};
  const auto wanted = plain(requests);
  SchedulerOptions o = fixture::roomy();
  o.step_tokens = 128;
  o.prefix_cache = false;
  o.kv_bytes = bytes_of(64, 128) + bytes_of(65, 128);
  Scheduler scheduler(model, tokenizer, o, prophet({requests[1]}, {wanted[1]}, 1000));
  auto stays = std::make_shared<Heard>();
  send(scheduler, requests[0], stays);
  send(scheduler, requests[1], std::make_shared<Leaves>(9));
  while (!scheduler.idle()) scheduler.step();
  EXPECT_EQ(scheduler.stats().accepted, 1 + 2);  // and not 4 more
  EXPECT_EQ(scheduler.stats().parked, 0);
  EXPECT_EQ(stays->choices.at(0).tokens, wanted[0]->choices.at(0).tokens);
}

TEST_F(SchedulerGuesses, AreForgottenWithTheirAnswer) {
  std::vector<Request> requests = {request(prompt(20), options(30)),
                                   request(prompt(21, 2), options(30))};
  requests[1].choices = 2;
  const auto wanted = plain(requests);
  auto source = std::make_unique<Prophet>(std::vector<std::vector<int32_t>>{}, 1);
  const Prophet& seen = *source;
  Scheduler scheduler(model, tokenizer, fixture::roomy(),
                      std::make_unique<Speculator>(std::move(source), 8, even_steps()));
  expect_same(answers(scheduler, requests), wanted);
  EXPECT_EQ(seen.forgotten.size(), 3u);
}

TEST_F(SchedulerGuesses, StopWithAReaderWhoLeaves) {
  const std::vector<Request> requests = {request(prompt(20), options(60)),
                                         request(prompt(25, 3), options(60))};
  const auto wanted = plain(requests);
  Scheduler scheduler(model, tokenizer, fixture::roomy(), prophet(requests, wanted, 1000));
  auto leaves = std::make_shared<Leaves>(5);
  auto stays = std::make_shared<Heard>();
  send(scheduler, requests[0], leaves);
  send(scheduler, requests[1], stays);
  while (!scheduler.idle()) scheduler.step();
  EXPECT_EQ(leaves->choices.at(0).tokens.size(), 5u);  // none of the draft behind them
  EXPECT_EQ(leaves->choices.at(0).reason, FinishReason::kCancelled);
  EXPECT_EQ(stays->choices.at(0).tokens, wanted[1]->choices.at(0).tokens);
}

TEST_F(SchedulerGuesses, AreGivenUpWhenTheyFail) {
  struct Broken : Prophet {
    explicit Broken(int* count) : Prophet({}, 1), calls(count) {}
    std::vector<int> look(std::span<const DraftText>) override {
      ++*calls;
      throw Error("broken");
    }
    int* calls;
  };
  const std::vector<Request> requests = mixture();
  int calls = 0;
  std::vector<std::string> troubles;
  SchedulerOptions options = fixture::roomy();
  options.trouble = [&](const std::string& message) { troubles.push_back(message); };
  Scheduler scheduler(model, tokenizer, options,
                      std::make_unique<Speculator>(std::make_unique<Broken>(&calls), 8));
  expect_same(answers(scheduler, requests), plain(requests));
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(troubles, std::vector<std::string>{"tokens are no longer guessed: broken"});
}

// Random arrivals, cancellations and choices under a memory that is too small, with guesses that
// are right or not as it comes.
TEST_F(SchedulerGuesses, WalkRandomlyWithoutChangingATokenOrLosingAPage) {
  for (uint64_t walk = 0; walk < 4; ++walk) {
    const Philox random(200 + walk);
    uint64_t drawn = 0;
    const auto below = [&](uint64_t n) { return static_cast<int64_t>(random.below(n, drawn++)); };
    std::vector<Request> requests;
    for (int i = 0; i < 14; ++i) {
      auto tokens = prompt(1 + below(90));
      const auto same = static_cast<size_t>(below(2) * below(tokens.size()));
      for (size_t t = same; t < tokens.size(); ++t) tokens[t] = static_cast<int32_t>(below(200));
      Request r = request(tokens, options(below(60), static_cast<double>(below(2)),
                                          static_cast<uint64_t>(below(100))));
      r.options.ignore_stop_tokens = below(2) == 0;
      r.choices = 1 + below(4) / 3;
      requests.push_back(r);
    }
    const auto wanted = plain(requests);
    SchedulerOptions o = fixture::roomy();
    o.step_tokens = 8 + below(60);
    o.max_running = 1 + below(8);
    o.context_tokens = 160;
    o.prefix_cache = walk != 0;
    o.kv_bytes = bytes_of(160, o.step_tokens) + bytes_of(1 + below(150), o.step_tokens);
    Scheduler scheduler(
        model, tokenizer, o,
        prophet(requests, wanted, static_cast<size_t>(2 + below(9)), 1 + below(30)));
    std::vector<std::shared_ptr<Heard>> heard;
    int64_t cancelled = -1;
    for (int step = 0; step < 4000 && (heard.size() < requests.size() || !scheduler.idle());
         ++step) {
      if (heard.size() < requests.size() && below(5) == 0) {
        Request r = requests[heard.size()];
        r.sink = heard.emplace_back(std::make_shared<Heard>());
        scheduler.add(std::ssize(heard), r);
      }
      if (cancelled < 0 && heard.size() > 5 && below(10) == 0) {
        cancelled = std::ssize(heard);
        scheduler.cancel(cancelled);
      }
      scheduler.step();
      ASSERT_LE(scheduler.cache().bytes(), o.kv_bytes);
    }
    ASSERT_TRUE(scheduler.idle());
    EXPECT_GT(scheduler.stats().accepted, 0) << walk;
    for (size_t i = 0; i < requests.size(); ++i) {
      for (const auto& [index, choice] : heard[i]->choices) {
        const Heard::Choice& expected = wanted[i]->choices.at(index);
        if (choice.reason != FinishReason::kCancelled) {
          EXPECT_EQ(choice.tokens, expected.tokens) << walk << " " << i;
          EXPECT_EQ(choice.text, expected.text);
          EXPECT_EQ(choice.reason, expected.reason);
          continue;
        }
        EXPECT_EQ(cancelled, static_cast<int64_t>(i) + 1);
        ASSERT_LE(choice.tokens.size(), expected.tokens.size());
        EXPECT_TRUE(
            std::equal(choice.tokens.begin(), choice.tokens.end(), expected.tokens.begin()));
      }
    }
    scheduler.clear_prefix_cache();
    EXPECT_EQ(scheduler.cache().bytes(), 0) << walk;
  }
}

}  // namespace
}  // namespace corral::engine
