#include "serve/keys.h"

#include <gmock/gmock.h>

#include <thread>

#include "base/error.h"
#include "base/file.h"
#include "support/temp_dir.h"

namespace corral::serve {
namespace {

using std::chrono::seconds;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::ThrowsMessage;

TEST(Keys, AreKeptAsHashesThatOnlyTheOwnerReads) {
  const corral::test::TempDir dir;
  const auto path = dir.path() / "keys.json";
  EXPECT_TRUE(read_keys(path).empty());
  const NewKey alice = make_key("alice", {.requests_per_minute = 60});
  const NewKey bob = make_key("bob", {.tokens_per_minute = 1000});
  EXPECT_EQ(alice.text.size(), 50u);
  EXPECT_NE(alice.text, bob.text);
  EXPECT_NE(alice.stored.salt, bob.stored.salt);
  write_keys(path, {alice.stored, bob.stored});
  EXPECT_THAT(read_file(path), Not(HasSubstr(alice.text.substr(7))));
  using std::filesystem::perms;
  EXPECT_EQ(std::filesystem::status(path).permissions() & (perms::group_all | perms::others_all),
            perms::none);
  const auto keys = read_keys(path);
  ASSERT_EQ(keys.size(), 2u);
  EXPECT_EQ(keys[0].name, "alice");
  EXPECT_EQ(keys[0].limits.requests_per_minute, 60);
  EXPECT_EQ(keys[1].limits.tokens_per_minute, 1000);
}

TEST(Keys, BelongToWhomTheyWereGiven) {
  const corral::test::TempDir dir;
  const auto path = dir.path() / "keys.json";
  const NewKey alice = make_key("alice", {.requests_per_minute = 1});
  write_keys(path, {alice.stored});
  KeyRing ring({"plain"}, path);
  EXPECT_FALSE(ring.open());
  ASSERT_TRUE(ring.find(alice.text).has_value());
  EXPECT_EQ(ring.find(alice.text)->name, "key:alice");
  EXPECT_NE(ring.find(alice.text)->quota, nullptr);
  EXPECT_EQ(ring.find("plain")->name, "operator");
  EXPECT_EQ(ring.find("plain")->quota, nullptr);
  std::string almost = alice.text;
  almost.back() = almost.back() == 'A' ? 'B' : 'A';
  for (const std::string& other : {std::string(), std::string("plai"), std::string("plain "),
                                   almost, alice.text + "A", std::string(100'000, 'x')}) {
    EXPECT_FALSE(ring.find(other).has_value());
  }
  EXPECT_TRUE(KeyRing({}, {}).open());
  EXPECT_THROW(KeyRing({""}, {}), UsageError);
  EXPECT_THAT([&] { KeyRing({}, dir.path() / "none.json"); },
              ThrowsMessage<IoError>(HasSubstr("no such file of keys")));
}

TEST(Keys, OfABrokenFileAreRefused) {
  const corral::test::TempDir dir;
  const auto path = dir.path() / "keys.json";
  const std::string hash(64, 'a');
  const std::string salt(32, 'b');
  const auto entry = [&](const std::string& more) {
    return R"({"keys":[{"name":"a","salt":")" + salt + R"(","sha256":")" + hash + "\"" + more +
           "}]}";
  };
  write_file_atomically(path, entry(""));
  EXPECT_EQ(read_keys(path).size(), 1u);
  for (const std::string& bad :
       {std::string("{"), std::string("[]"), std::string(R"({"keys":[5]})"),
        std::string(R"({"keys":[{"name":"a"}]})"), entry(R"(,"requests_per_minute":-1)"),
        entry(R"(,"tokens_per_minute":1.5)"), entry(R"(,"tokens_per_minute":1e300)")}) {
    write_file_atomically(path, bad);
    EXPECT_THROW(read_keys(path), CorruptFile) << bad;
  }
}

TEST(Quota, LetsSoManyRequestsAMinute) {
  const Quota::Time start{};
  Quota quota({.requests_per_minute = 2}, start);
  EXPECT_FALSE(quota.admit(start).has_value());
  EXPECT_FALSE(quota.admit(start).has_value());
  EXPECT_EQ(quota.admit(start), 30);
  EXPECT_EQ(quota.admit(start + seconds(20)), 10);
  EXPECT_FALSE(quota.admit(start + seconds(31)).has_value());
  EXPECT_EQ(quota.admit(start + seconds(31)).value_or(0), 29);
  // Time that runs backwards gives nothing and takes nothing.
  EXPECT_TRUE(quota.admit(start).has_value());
}

TEST(Quota, WaitsUntilTokensAreEarnedBack) {
  const Quota::Time start{};
  Quota quota({.tokens_per_minute = 60}, start);
  EXPECT_FALSE(quota.admit(start).has_value());
  quota.spend_tokens(90, start);  // 30 more than there were
  EXPECT_EQ(quota.admit(start), 31);
  EXPECT_FALSE(quota.admit(start + seconds(31)).has_value());
  // It never holds more than a minute's worth.
  quota.spend_tokens(60, start + seconds(100'000));
  EXPECT_TRUE(quota.admit(start + seconds(100'000)).has_value());
}

}  // namespace
}  // namespace corral::serve
