// Pictures among many answers: the prefix cache and the batch tell them apart by content.
#include <gmock/gmock.h>

#include "engine/engine_fixture.h"
#include "engine/image_fixture.h"
#include "engine/speculation/lookup_draft.h"
#include "engine/speculation/prophet.h"

namespace corral::engine {
namespace {

using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

class ImageScheduler : public fixture::ImageSession {
 protected:
  static Request request(Prompt prompt) {
    Request r;
    r.prompt = std::move(prompt);
    r.options.max_tokens = 12;
    r.options.ignore_stop_tokens = true;
    r.options.sampling.temperature = 0;
    r.sink = std::make_shared<fixture::Heard>();
    return r;
  }
  std::shared_ptr<fixture::Heard> add(Scheduler& scheduler, const Request& r) {
    scheduler.check(r);
    scheduler.add(next_id++, r);
    return std::static_pointer_cast<fixture::Heard>(r.sink);
  }
  static void finish(Scheduler& scheduler) {
    for (int steps = 0; steps < 10000 && !scheduler.idle(); ++steps) scheduler.step();
    ASSERT_TRUE(scheduler.idle());
  }
  std::vector<int32_t> alone(const Request& r) const {
    return Session(model, vocabulary).generate(r.prompt, r.options).tokens;
  }
  int64_t next_id = 1;
  const std::string red = fixture::picture(8, 8, 255, 0, 0);
  const std::string blue = fixture::picture(8, 8, 0, 0, 255);
  const std::string wide = fixture::picture(16, 8, 9, 200, 9);
};

TEST_F(ImageScheduler, AnswersManyPicturesAtOnceAsOneAfterTheOther) {
  for (const int64_t step_tokens : {3, 17, 512}) {
    SchedulerOptions options = fixture::roomy();
    options.step_tokens = step_tokens;
    options.max_running = 3;
    Scheduler scheduler(model, vocabulary, options);
    std::vector<Request> requests;
    requests.push_back(request(ask({red}, "what is it?")));
    requests.push_back(request(ask({blue}, "what is it?")));
    requests.push_back(request(ask({wide, red}, "which?")));
    requests.push_back(request(ask({}, "no picture at all")));
    requests.push_back(request(ask({red, wide}, "which?")));
    std::vector<std::shared_ptr<fixture::Heard>> heard;
    for (const Request& r : requests) heard.push_back(add(scheduler, r));
    finish(scheduler);
    for (size_t i = 0; i < requests.size(); ++i) {
      EXPECT_EQ(heard[i]->choices.at(0).tokens, alone(requests[i])) << i << " by " << step_tokens;
    }
  }
}

// A guess may be the token that stands for pictures: one like others, as when the model chooses it.
TEST_F(ImageScheduler, GuessesChangeNoAnswerAboutPictures) {
  std::vector<Request> requests;
  requests.push_back(request(ask({red}, "what is it? what is it?")));
  requests.push_back(request(ask({wide, red}, "which?")));
  for (Request& r : requests) {
    r.options.max_tokens = 60;
    // What is expected are the tokens of its own pictures, and then its answer.
    r.expected = r.prompt.tokens;
    const std::vector<int32_t> answer = alone(r);
    r.expected.insert(r.expected.end(), answer.begin(), answer.end());
  }
  Scheduler scheduler(
      model, vocabulary, fixture::roomy(),
      std::make_unique<Speculator>(std::make_unique<LookupDraft>(), 8, fixture::even_steps()));
  std::vector<std::shared_ptr<fixture::Heard>> heard;
  for (const Request& r : requests) heard.push_back(add(scheduler, r));
  finish(scheduler);
  for (size_t i = 0; i < requests.size(); ++i) {
    EXPECT_EQ(heard[i]->choices.at(0).tokens, alone(requests[i])) << i;
  }
  EXPECT_GT(scheduler.stats().accepted, 20);
}

// The tokens of two pictures are the same: a cache that compares tokens would answer the second
// question from the first picture.
TEST_F(ImageScheduler, AWarmPrefixCacheKnowsPicturesByContent_FactsRow12) {
  Scheduler scheduler(model, vocabulary, fixture::roomy());
  const Request about_red = request(ask({red}, "what is it?"));
  const Request about_blue = request(ask({blue}, "what is it?"));
  ASSERT_EQ(about_red.prompt.tokens, about_blue.prompt.tokens);
  const auto first = add(scheduler, about_red);
  finish(scheduler);
  const auto other = add(scheduler, about_blue);
  finish(scheduler);
  EXPECT_EQ(other->choices.at(0).tokens, alone(about_blue));
  EXPECT_LT(other->prompt.cached_tokens, 10);  // what stands before the picture
  const Request again = request(ask({red}, "what is that?"));
  const auto warm = add(scheduler, again);
  finish(scheduler);
  EXPECT_EQ(warm->choices.at(0).tokens, alone(again));
  EXPECT_GT(warm->prompt.cached_tokens, 15);
}

TEST_F(ImageScheduler, ComputesAParkedPictureAgain) {
  SchedulerOptions options = fixture::roomy();
  options.step_tokens = 8;
  options.max_running = 8;
  options.prefix_cache = false;
  std::vector<Request> requests;
  for (const std::string& file : {red, blue, wide, red, blue}) {
    requests.push_back(request(ask({file}, "?")));
    requests.back().options.max_tokens = 110;
  }
  const kv::KvCache sizes(model.kv_layout(), device);
  // The beginnings fit, the long answers do not.
  options.kv_bytes = sizes.most_bytes(162, 8) + sizes.most_bytes(64, 8);
  Scheduler scheduler(model, vocabulary, options);
  std::vector<std::shared_ptr<fixture::Heard>> heard;
  for (const Request& r : requests) heard.push_back(add(scheduler, r));
  finish(scheduler);
  EXPECT_GT(scheduler.stats().parked, 0);
  for (size_t i = 0; i < requests.size(); ++i) {
    EXPECT_EQ(heard[i]->choices.at(0).tokens, alone(requests[i])) << i;
  }
}

TEST_F(ImageScheduler, RefusesPicturesThatDoNotBelong) {
  const Scheduler scheduler(model, vocabulary, fixture::roomy());
  Request r = request(ask({red}, "?"));
  r.prompt.images.push_back(r.prompt.images.front());
  EXPECT_THAT([&] { scheduler.check(r); },
              ThrowsMessage<UsageError>(HasSubstr("placeholders for 1 of 2 images")));
  auto other = std::make_shared<EncodedImage>(*r.prompt.images.front());
  other->vectors_MW = Tensor({4, 3}, DType::kF32, device);
  r.prompt.images = {other};
  EXPECT_THAT([&] { scheduler.check(r); }, ThrowsMessage<UsageError>(HasSubstr("vectors of 3")));
}

TEST_F(ImageScheduler, LowDetailIsOneTile) {
  const EncodedImagePtr low = encoder.encode(wide, "wide", {.max_tiles = 1});
  EXPECT_EQ(low->vectors_MW.dim(0), 4);
  EXPECT_EQ(encoder.encode(wide, "wide")->vectors_MW.dim(0), 12);
  EXPECT_EQ(encoder.encode(wide, "wide", {.max_tiles = 1}), low);
  media::ImageLimits limits;
  limits.max_pixels = 100;
  EXPECT_THROW(encoder.encode(fixture::picture(16, 8, 1, 1, 1), "large", {.limits = limits}),
               Error);
}

}  // namespace
}  // namespace corral::engine
