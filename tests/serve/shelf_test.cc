#include "serve/shelf.h"

#include <gmock/gmock.h>

#include <thread>

#include "base/error.h"
#include "model/tiny_model.h"
#include "serve/api_error.h"

namespace corral::serve {
namespace {

using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

class ShelfTest : public ::testing::Test {
 protected:
  ShelfEntry entry(const std::string& name, int64_t bytes) {
    ShelfEntry result;
    result.name = name;
    result.bytes = bytes;
    result.open = [this, name] {
      if (name == "broken") throw IoError("broken: no such file");
      ++opened;
      Service::Parts parts;
      parts.tokenizer = tokenizer;
      engine::SchedulerOptions options;
      options.kv_bytes = int64_t{1} << 24;
      parts.engine = std::make_unique<engine::Engine>(model, tokenizer, options);
      return parts;
    };
    return result;
  }
  static int status(Shelf& shelf, const std::string& name) {
    try {
      shelf.open(name);
    } catch (const ApiError& error) {
      return error.status();
    }
    return 200;
  }
  static bool is_open(const Shelf& shelf, const std::string& name) {
    for (const ShelfStats& stats : shelf.stats()) {
      if (stats.name == name) return stats.open;
    }
    return false;
  }
  static model::Config config_of_bytes() {
    model::Config config = corral::test::tiny_config();
    config.vocab_size = 264;
    return config;
  }
  DevicePtr device = Device::cpu({.threads = 1});
  model::TextModel model = corral::test::tiny_model(config_of_bytes(), device);
  std::shared_ptr<const text::Tokenizer> tokenizer = corral::test::byte_tokenizer();
  std::atomic<int> opened{0};
};

TEST_F(ShelfTest, OpensAModelOnItsFirstUseAndClosesTheOneUsedLongestAgo) {
  Shelf shelf({entry("a", 40), entry("b", 40), entry("c", 40)}, 100);
  EXPECT_EQ(opened, 0);
  EXPECT_EQ(shelf.open("")->model(), "a");  // the first is meant
  shelf.open("b");
  shelf.open("a");
  EXPECT_EQ(opened, 2);
  shelf.open("c");
  EXPECT_TRUE(is_open(shelf, "a"));
  EXPECT_FALSE(is_open(shelf, "b"));
  EXPECT_TRUE(is_open(shelf, "c"));
  EXPECT_EQ(shelf.list()["data"].size(), 3u);
  EXPECT_EQ(shelf.describe("b")["loaded"], false);
  EXPECT_GT(shelf.describe("b")["max_model_len"], 0);  // known from before
}

TEST_F(ShelfTest, ClosesNoModelThatAnswers) {
  Shelf shelf({entry("a", 60), entry("b", 60)}, 100);
  {
    const Lease a = shelf.open("a");
    EXPECT_EQ(status(shelf, "b"), 503);
    EXPECT_TRUE(is_open(shelf, "a"));
  }
  EXPECT_EQ(status(shelf, "b"), 200);
  EXPECT_FALSE(is_open(shelf, "a"));
}

TEST_F(ShelfTest, OpensOnceForManyAtTheSameTime) {
  Shelf shelf({entry("a", 60)}, 100);
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) threads.emplace_back([&] { shelf.open("a"); });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(opened, 1);
  EXPECT_EQ(shelf.stats()[0].in_use, 0);
}

TEST_F(ShelfTest, SaysWhatItCannotOpen) {
  Shelf shelf({entry("a", 60), entry("broken", 60)}, 130);
  EXPECT_EQ(status(shelf, "other"), 404);
  for (int i = 0; i < 3; ++i) {
    EXPECT_THAT([&] { shelf.open("broken"); }, ThrowsMessage<IoError>(HasSubstr("no such file")));
  }
  EXPECT_EQ(status(shelf, "a"), 200);  // a failure keeps no memory
  shelf.drain();
  EXPECT_EQ(status(shelf, "a"), 503);
  using Entries = std::vector<ShelfEntry>;
  EXPECT_THROW(Shelf(Entries{}, 1), UsageError);
  EXPECT_THROW(Shelf(Entries{entry("a", 1), entry("a", 1)}, 9), UsageError);
  EXPECT_THROW(Shelf(Entries{entry("a", 10)}, 9), UsageError);
}

TEST_F(ShelfTest, WalksRandomly) {
  Shelf shelf({entry("a", 30), entry("b", 50), entry("c", 70)}, 100);
  std::vector<std::thread> threads;
  std::atomic<int> good{0};
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      const char* names[] = {"a", "b", "c"};
      for (int i = 0; i < 40; ++i) {
        try {
          const Lease lease = shelf.open(names[(i * (t + 1) + t) % 3]);
          good += lease->engine().context_tokens() > 0 ? 1 : 0;
        } catch (const ApiError& error) {
          EXPECT_EQ(error.status(), 503);
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_GT(good, 0);
  for (const ShelfStats& stats : shelf.stats()) EXPECT_EQ(stats.in_use, 0);
}

}  // namespace
}  // namespace corral::serve
