#include <gmock/gmock.h>

#include <fstream>

#include "serve/server_fixture.h"
#include "support/temp_dir.h"

namespace corral::serve {
namespace {

using nlohmann::json;
using test::Reply;
using ::testing::HasSubstr;
using ::testing::Not;

class SlotsApi : public test::ServerTest {
 protected:
  void start_with_folder(int64_t max_bytes = int64_t{1} << 30) {
    start([&](ServerOptions& options, engine::SchedulerOptions&) {
      options.sessions = {.folder = folder.path(), .max_bytes = max_bytes};
    });
  }
  Reply complete(int64_t tokens, const json& more = json::object()) const {
    json body = {{"prompt", corral::test::some_tokens(tokens, 264)},
                 {"max_tokens", 4},
                 {"ignore_eos", true},
                 {"temperature", 0}};
    body.update(more);
    return post("/v1/completions", body);
  }
  Reply act(const std::string& slot, const std::string& action, const json& body) const {
    return post("/slots/" + slot + "?action=" + action, body);
  }
  corral::test::TempDir folder;
};

TEST_F(SlotsApi, SavesAndRestoresOverARestart) {
  start_with_folder();
  const json answer = complete(100).json();
  const json saved = act("0", "save", {{"filename", "talk.bin"}}).json();
  EXPECT_EQ(saved["id_slot"], 0);
  EXPECT_EQ(saved["filename"], "talk.bin");
  EXPECT_EQ(saved["n_saved"], 103);
  EXPECT_EQ(saved["n_written"].get<uintmax_t>(),
            std::filesystem::file_size(folder.path() / "talk.bin"));
  EXPECT_EQ(get("/slots").json()[0]["n_past"], 103);
  EXPECT_EQ(get("/slots?x=1&model=t%69ny").json()[0]["n_past"], 103);
  EXPECT_EQ(get("/slots?model=none").status, 404);
  TearDown();
  start_with_folder();
  const json restored = act("3", "restore", {{"filename", "talk.bin"}}).json();
  EXPECT_EQ(restored["n_restored"], 103) << restored;
  EXPECT_EQ(restored["n_read"], saved["n_written"]);
  const json again = complete(100).json();
  EXPECT_EQ(again["choices"][0]["text"], answer["choices"][0]["text"]);
  EXPECT_EQ(again["usage"]["prompt_tokens_details"]["cached_tokens"], 99);
  EXPECT_EQ(act("3", "erase", json::object()).json()["n_erased"], 103);
  EXPECT_EQ(act("3", "save", {{"filename", "x"}}).status, 400);
}

TEST_F(SlotsApi, KeepSlotsApart) {
  start_with_folder();
  complete(40, {{"id_slot", 1}});
  complete(70, {{"id_slot", 2}});
  EXPECT_EQ(act("1", "save", {{"filename", "one"}}).json()["n_saved"], 43);
  EXPECT_EQ(act("2", "save", {{"filename", "two"}}).json()["n_saved"], 73);
  EXPECT_EQ(act("0", "save", {{"filename", "none"}}).status, 400);
  EXPECT_EQ(complete(10, {{"id_slot", 256}}).status, 400);
}

TEST_F(SlotsApi, RefuseWhatIsNoNameNoSlotOrNoAction) {
  start_with_folder();
  complete(40);
  for (const char* name : {"", "../x", "a/b", "/etc/passwd", ".hidden", "a\\b", "x.partial"}) {
    const Reply reply = act("0", "save", {{"filename", name}});
    EXPECT_EQ(reply.status, 400) << name;
    EXPECT_EQ(reply.json()["error"]["param"], "filename");
  }
  EXPECT_EQ(act("0", "save", json::object()).status, 400);
  EXPECT_EQ(act("-1", "save", {{"filename", "x"}}).status, 404);
  EXPECT_EQ(act("99999999999999999999", "save", {{"filename", "x"}}).status, 404);
  EXPECT_EQ(act("0", "steal", {{"filename", "x"}}).status, 400);
  EXPECT_EQ(act("0", "restore", {{"filename", "absent"}}).status, 404);
  std::ofstream(folder.path() / "bad") << "no session at all";
  const Reply bad = act("0", "restore", {{"filename", "bad"}});
  EXPECT_EQ(bad.status, 400);
  EXPECT_THAT(bad.body, HasSubstr("bad: "));
  EXPECT_THAT(bad.body, Not(HasSubstr(folder.path().string())));
  EXPECT_EQ(get("/slots/0").status, 405);
}

TEST_F(SlotsApi, StayWithinTheirBudgetAndNeedAFolder) {
  start_with_folder(1000);
  complete(40);
  const Reply reply = act("0", "save", {{"filename", "x"}});
  EXPECT_EQ(reply.status, 507);
  EXPECT_THAT(reply.body, HasSubstr("--slot-save-gib"));
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
  TearDown();
  start();
  complete(40);
  EXPECT_EQ(act("0", "save", {{"filename", "x"}}).status, 501);
}

TEST(Slots, ForgetWhatWasAnsweredLongestAgo) {
  Slots slots(100);
  slots.put("ann", 0, Slots::Identities(40, 1));
  slots.put("ann", 1, Slots::Identities(40, 2));
  slots.put("bob", 0, Slots::Identities(15, 3));
  slots.put("ann", 0, Slots::Identities(20, 4));  // 75 in all
  slots.put("bob", 1, Slots::Identities(30, 5));
  EXPECT_EQ(slots.list("ann"), (std::map<int64_t, int64_t>{{0, 20}}));
  EXPECT_EQ(slots.list("bob"), (std::map<int64_t, int64_t>{{0, 15}, {1, 30}}));
  EXPECT_EQ(slots.get("ann", 0), Slots::Identities(20, 4));
  slots.erase("ann", 0);
  EXPECT_TRUE(slots.get("ann", 0).empty());
  EXPECT_TRUE(slots.get("nobody", 7).empty());
}

}  // namespace
}  // namespace corral::serve
