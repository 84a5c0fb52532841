#include "hub/pull.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "base/file.h"
#include "hub/hub_errors.h"
#include "hub/partial_file.h"
#include "hub/small_hub.h"
#include "support/temp_dir.h"

namespace corral::test {
namespace {

using ::testing::HasSubstr;

std::string content_of(size_t bytes, unsigned seed) {
  std::string content(bytes, '\0');
  for (char& c : content) c = static_cast<char>((seed = seed * 1103515245u + 12345u) >> 16);
  return content;
}

const std::map<std::string, std::string>& model_files() {
  static const std::map<std::string, std::string> files = {
      {"config.json", "{}"},
      {"empty.txt", ""},
      {"model-00001-of-00002.safetensors", content_of(10'000, 1)},
      {"model-00002-of-00002.safetensors", content_of(5'000, 2)},
      {"sub/notes + more.txt", "a note"}};
  return files;
}

class Pull : public testing::Test {
 protected:
  hub::PullOptions options(const SmallHub& hub) const {
    hub::PullOptions options;
    options.hub = hub.url();
    options.repo = "org/model";
    options.folder = dir_.path() / "models" / "org" / "model";
    options.part_bytes = 2048;
    options.connections = 4;
    options.first_wait_seconds = 0.001;
    options.attempts = 4;
    return options;
  }
  std::filesystem::path folder() const { return dir_.path() / "models" / "org" / "model"; }

  void expect_all_there(const std::map<std::string, std::string>& files = model_files()) const {
    for (const auto& [path, content] : files) {
      EXPECT_EQ(read_file(folder() / path), content) << path;
      EXPECT_FALSE(std::filesystem::exists(folder() / (path + ".partial")));
      EXPECT_FALSE(std::filesystem::exists(folder() / (path + ".parts")));
    }
  }

  static std::string error_of(const hub::PullOptions& options) {
    try {
      hub::pull(options);
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  }

  TempDir dir_;
};

bool is_download(const HubRequest& request) {
  return request.path.find("/resolve/") != request.path.npos;
}

TEST_F(Pull, FetchesEveryFileInPartsAndRecordsThem) {
  std::map<std::string, std::string> files = model_files();
  // The path in the request is percent-encoded.
  files.erase("sub/notes + more.txt");
  SmallHub hub(files);
  int64_t shown = -1;
  auto o = options(hub);
  o.progress = [&](int64_t done, int64_t total, const std::string&) {
    EXPECT_LE(done, total);
    shown = total;
  };
  const hub::PulledModel pulled = hub::pull(o);
  expect_all_there(files);
  EXPECT_EQ(pulled.commit, SmallHub::kCommit);
  EXPECT_EQ(pulled.files.size(), 4u);
  EXPECT_EQ(pulled.bytes, 15'002);
  EXPECT_EQ(pulled.fetched_bytes, 15'002);
  EXPECT_EQ(shown, 15'002);
  EXPECT_EQ(hub.downloads(), 1 + 5 + 3);  // parts of 2048 bytes
  const auto record = nlohmann::json::parse(read_file(folder() / hub::kPullRecord));
  EXPECT_EQ(record["commit"], SmallHub::kCommit);
  EXPECT_EQ(record["files"].size(), 4u);
}

TEST_F(Pull, EncodesOddButHarmlessNames) {
  SmallHub hub({{"sub/notes + more.txt", "a note"}}, [](const HubRequest& request) {
    return is_download(request) && request.path.ends_with("/sub/notes%20%2B%20more.txt")
               ? std::optional(HubReply{.body = "a note"})
               : std::nullopt;
  });
  hub::pull(options(hub));
  EXPECT_EQ(read_file(folder() / "sub/notes + more.txt"), "a note");
}

TEST_F(Pull, FetchesNothingTwice) {
  SmallHub hub({{"config.json", "{}"}, {"a.bin", content_of(3000, 3)}});
  hub::pull(options(hub));
  const int64_t before = hub.downloads();
  EXPECT_EQ(hub::pull(options(hub)).fetched_bytes, 0);
  // Without the record the hashes of the files decide.
  std::filesystem::remove(folder() / hub::kPullRecord);
  EXPECT_EQ(hub::pull(options(hub)).fetched_bytes, 0);
  EXPECT_EQ(hub.downloads(), before);
  std::filesystem::remove(folder() / hub::kPullRecord);
  std::ofstream(folder() / "config.json") << "[]";
  EXPECT_EQ(hub::pull(options(hub)).fetched_bytes, 2);
  EXPECT_EQ(read_file(folder() / "config.json"), "{}");
}

TEST_F(Pull, GoesOnAfterCutConnectionsWithoutFetchingAgain) {
  std::atomic<int> cuts = 6;

  const std::map<std::string, std::string> files = {{"model.safetensors", content_of(9000, 4)}};
  SmallHub hub(files, [&](const HubRequest& request) -> std::optional<HubReply> {
    if (!is_download(request) || cuts-- <= 0) return std::nullopt;
    HubReply reply = SmallHub::content_reply(files.at("model.safetensors"), request.range);
    reply.cut_after = static_cast<int64_t>(reply.body.size() / 2);
    return reply;
  });

  const auto pulled = hub::pull(options(hub));
  expect_all_there(files);
  EXPECT_EQ(pulled.fetched_bytes, 9000);
}

TEST_F(Pull, TakesUpWhatAnEarlierPullLeft) {
  const std::map<std::string, std::string> files = {{"model.safetensors", content_of(9000, 5)}};
  SmallHub broken(files, [&](const HubRequest& request) -> std::optional<HubReply> {
    if (request.range == "bytes=8192-8999") return HubReply{.status = 501};
    return std::nullopt;
  });
  auto o = options(broken);
  o.connections = 1;
  EXPECT_THAT(error_of(o), HasSubstr("501"));
  EXPECT_FALSE(std::filesystem::exists(folder() / "model.safetensors"));
  EXPECT_FALSE(std::filesystem::exists(folder() / hub::kPullRecord));
  SmallHub hub(files);
  EXPECT_EQ(hub::pull(options(hub)).fetched_bytes, 9000 - 4 * 2048);
  EXPECT_EQ(hub.downloads(), 1);
  expect_all_there(files);
}

TEST_F(Pull, BeginsAgainWhenWhatLayThereIsDamaged) {
  const std::map<std::string, std::string> files = {{"model.safetensors", content_of(9000, 6)}};
  SmallHub hub(files);
  std::filesystem::create_directories(folder());
  {
    hub::PartialFile left(folder() / "model.safetensors", 9000, 2048,
                          "sha256:" + hash_of(files.at("model.safetensors"), EVP_sha256()));
    left.write(0, std::string(2048, 'x').data(), 2048);
    left.mark_done(0);
  }
  hub::pull(options(hub));
  expect_all_there(files);
}

TEST_F(Pull, RefusesContentWithAnotherHash) {
  for (const size_t bytes : {size_t{20}, size_t{5000}}) {
    const std::string right = content_of(bytes, 7);
    SmallHub hub({{"model.safetensors", right}}, [&](const HubRequest& request) {
      return is_download(request)
                 ? std::optional(SmallHub::content_reply(content_of(bytes, 8), request.range))
                 : std::nullopt;
    });
    EXPECT_THAT(error_of(options(hub)),
                HasSubstr(bytes > 1000 ? "has not the sha256 hash" : "has not the git hash"));
    EXPECT_FALSE(std::filesystem::exists(folder() / "model.safetensors"));
    EXPECT_FALSE(std::filesystem::exists(folder() / "model.safetensors.partial"));
  }
}

TEST_F(Pull, RefusesWrongLengths) {
  const std::string content = content_of(1500, 9);
  HubReply reply;
  SmallHub hub({{"a.bin", content}}, [&](const HubRequest& request) {
    return is_download(request) ? std::optional(reply) : std::nullopt;
  });
  reply = {.body = content + "more"};
  EXPECT_THAT(error_of(options(hub)), HasSubstr("has another length"));
  reply = {.status = 206, .body = content, .headers = {"Content-Range: bytes 0-1499/1700"}};
  EXPECT_THAT(error_of(options(hub)), HasSubstr("has another length or range"));
  reply = {.status = 206, .body = content + "x", .headers = {"Content-Range: bytes 0-1499/1500"}};
  EXPECT_THAT(error_of(options(hub)), HasSubstr("longer than"));
  reply = {
      .status = 206, .body = content.substr(1), .headers = {"Content-Range: bytes 1-1499/1500"}};
  EXPECT_THAT(error_of(options(hub)), HasSubstr("range"));
}

TEST_F(Pull, NeedsRangesForWhatItFetchesInParts) {
  const std::string content = content_of(5000, 10);
  SmallHub hub({{"a.bin", content}}, [&](const HubRequest& request) {
    return is_download(request) ? std::optional(HubReply{.body = content}) : std::nullopt;
  });
  EXPECT_THAT(error_of(options(hub)), HasSubstr("ignores ranges"));
  auto whole = options(hub);
  whole.part_bytes = 8192;
  hub::pull(whole);
  EXPECT_EQ(read_file(folder() / "a.bin"), content);
}

TEST_F(Pull, SendsTheTokenToTheHubAndNeverToAnotherHost) {
  const std::string content = content_of(3000, 11);
  LoopbackServer elsewhere(
      [&](const HubRequest& request) { return SmallHub::content_reply(content, request.range); });
  std::string target;
  SmallHub hub({{"a.bin", content}}, [&](const HubRequest& request) -> std::optional<HubReply> {
    if (!is_download(request)) return std::nullopt;
    return HubReply{.status = 302, .headers = {"Location: " + target}};
  });
  auto o = options(hub);
  o.token = "secret";
  for (const std::string& other : {elsewhere.url(), elsewhere.other_url()}) {
    target = other + "/signed?x=1";
    std::filesystem::remove_all(folder());
    hub::pull(o);
    EXPECT_EQ(read_file(folder() / "a.bin"), content);
  }
  ASSERT_FALSE(elsewhere.requests().empty());
  for (const HubRequest& request : elsewhere.requests()) EXPECT_EQ(request.authorization, "");
  for (const HubRequest& request : hub.server().requests()) {
    EXPECT_EQ(request.authorization, "Bearer secret");
  }
}

TEST_F(Pull, KeepsTheTokenWhenTheHubRedirectsToItself) {
  const std::string content = content_of(3000, 12);
  SmallHub hub({{"a.bin", content}}, [&](const HubRequest& request) -> std::optional<HubReply> {
    if (request.path == "/moved") return SmallHub::content_reply(content, request.range);
    if (!is_download(request)) return std::nullopt;
    return HubReply{.status = 307, .headers = {"Location: /moved"}};
  });
  auto o = options(hub);
  o.token = "secret";
  hub::pull(o);
  for (const HubRequest& request : hub.server().requests()) {
    EXPECT_EQ(request.authorization, "Bearer secret") << request.path;
  }
}

TEST_F(Pull, RefusesRedirectsThatNeverEndOrLeadOffTheWeb) {
  std::string target = "/loop";
  SmallHub hub({{"a.bin", "x"}}, [&](const HubRequest& request) -> std::optional<HubReply> {
    if (!is_download(request) && request.path != "/loop") return std::nullopt;
    return HubReply{.status = 302, .headers = {"Location: " + target}};
  });
  EXPECT_THAT(error_of(options(hub)), HasSubstr("more than 10 redirects"));
  for (const char* bad : {"file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://x", ""}) {
    target = bad;
    EXPECT_THAT(error_of(options(hub)), HasSubstr("no web address")) << bad;
  }
}

TEST_F(Pull, SaysWhatToDoWhenTheHubRefuses) {
  int status = 401;
  SmallHub hub({}, [&](const HubRequest&) { return std::optional(HubReply{.status = status}); });
  auto o = options(hub);
  EXPECT_THAT(error_of(o), HasSubstr("put yours into HF_TOKEN"));
  o.token = "secret";
  EXPECT_THAT(error_of(o), HasSubstr("license"));
  status = 403;
  EXPECT_THAT(error_of(o), HasSubstr("may not read"));
  status = 404;
  EXPECT_THAT(error_of(o), HasSubstr("no repository org/model with revision main"));
  EXPECT_EQ(hub.server().requests().size(), 4u);  // none of these is tried again
}

TEST_F(Pull, WaitsAsLongAsTheServerSaysAndTriesAgain) {
  const std::map<std::string, std::string> files = {{"a.bin", content_of(3000, 13)}};
  std::atomic<int> refusals = 6;
  SmallHub hub(files, [&](const HubRequest&) -> std::optional<HubReply> {
    if (refusals-- <= 0) return std::nullopt;
    return HubReply{.status = refusals % 2 == 0 ? 429 : 503, .headers = {"Retry-After: 0"}};
  });
  auto o = options(hub);
  o.first_wait_seconds = 1000;  // the server's word counts, or this would take forever
  o.attempts = 7;
  hub::pull(o);
  expect_all_there(files);
}

TEST_F(Pull, GivesUpAfterEnoughAttempts) {
  SmallHub hub({}, [](const HubRequest&) { return std::optional(HubReply{.status = 503}); });
  EXPECT_THAT(error_of(options(hub)), HasSubstr("503 (tried 4 times"));
  EXPECT_EQ(hub.server().requests().size(), 4u);
}

TEST_F(Pull, LeavesServersThatSendNothing) {
  const std::map<std::string, std::string> files = {{"a.bin", content_of(3000, 14)}};
  std::atomic<int> stalls = 1;
  SmallHub hub(files, [&](const HubRequest& request) -> std::optional<HubReply> {
    if (!is_download(request) || stalls-- <= 0) return std::nullopt;
    return HubReply{.claimed_bytes = 100, .stall = true};
  });
  auto o = options(hub);
  o.stall_seconds = 1;
  hub::pull(o);
  expect_all_there(files);
}

TEST_F(Pull, StopsWhenAsked) {
  SmallHub hub({{"a.bin", content_of(3000, 15)}}, [](const HubRequest& request) {
    return is_download(request) ? std::optional(HubReply{.claimed_bytes = 100, .stall = true})
                                : std::nullopt;
  });
  std::atomic<bool> cancel = false;
  auto o = options(hub);
  o.cancel = &cancel;
  o.progress = [&](int64_t, int64_t, const std::string&) { cancel = true; };
  EXPECT_THROW(hub::pull(o), hub::Cancelled);
}

TEST_F(Pull, RefusesUnsafeNamesFromTheHub) {
  for (const char* name : {"../evil", "/etc/evil", "a/../../evil", "a//b", "a\\b", "a\nb", "",
                           "sub/", "./x", "a/./b"}) {
    SmallHub hub(std::map<std::string, std::string>{{name, "x"}});
    EXPECT_THAT(error_of(options(hub)), HasSubstr("refusing a file named")) << name;
    EXPECT_EQ(hub.downloads(), 0);
  }
  SmallHub hidden({{".gitattributes", "x"}, {"sub/.cache/y", "x"}, {"a.txt", "x"}});
  EXPECT_EQ(hub::pull(options(hidden)).files, std::vector<std::string>{"a.txt"});
  SmallHub both(std::map<std::string, std::string>{{"a", "x"}, {"a/b", "x"}});
  EXPECT_THAT(error_of(options(both)), HasSubstr("two files at a"));
}

TEST_F(Pull, RefusesListsThatMakeNoSense) {
  std::string list;
  SmallHub hub({}, [&](const HubRequest& request) {
    return request.path.find("/tree/") != request.path.npos ? std::optional(HubReply{.body = list})
                                                            : std::nullopt;
  });
  for (
      const char* bad :
      {"", "{}", "[1]", R"([{"type": "file", "path": "a", "size": 1}])",
       R"([{"type": "file", "path": "a", "size": -1, "oid": "0123456789012345678901234567890123456789"}])",
       R"([{"type": "file", "path": "a", "size": 1e30, "oid": "0123456789012345678901234567890123456789"}])",
       R"([{"type": "file", "path": "a", "size": 1, "lfs": {"oid": "xyz", "size": 1}}])"}) {
    list = bad;
    EXPECT_THROW(hub::pull(options(hub)), CorruptFile) << bad;
  }
}

TEST_F(Pull, FollowsThePagesOfTheList) {
  const nlohmann::json first = {SmallHub::entry("a.txt", "x")};
  const nlohmann::json second = {SmallHub::entry("b.txt", "y")};
  SmallHub hub({{"a.txt", "x"}, {"b.txt", "y"}},
               [&](const HubRequest& request) -> std::optional<HubReply> {
                 if (request.path.find("cursor=2") != request.path.npos) {
                   return HubReply{.body = second.dump()};
                 }
                 if (request.path.find("/tree/") == request.path.npos) return std::nullopt;
                 return HubReply{.body = first.dump(),
                                 .headers = {"Link: </api/next?cursor=2>; rel=\"next\""}};
               });
  EXPECT_EQ(hub::pull(options(hub)).files.size(), 2u);
}

TEST_F(Pull, RefusesWhatDoesNotFitOnTheDisk) {
  nlohmann::json huge = SmallHub::entry("a.bin", "x");
  huge["size"] = int64_t{1} << 49;
  SmallHub hub({}, [&](const HubRequest& request) {
    return request.path.find("/tree/") != request.path.npos
               ? std::optional(HubReply{.body = nlohmann::json::array({huge}).dump()})
               : std::nullopt;
  });
  EXPECT_THAT(error_of(options(hub)), HasSubstr("the disk has only"));
  EXPECT_EQ(hub.downloads(), 0);
}

TEST_F(Pull, RefusesOptionsThatMakeNoSense) {
  SmallHub hub(std::map<std::string, std::string>{});
  for (const char* repo : {"", "a/b/c", "../x", "a/..", "-x/y", "a b/c", "/a", "a/", "a/b?c"}) {
    auto o = options(hub);
    o.repo = repo;
    EXPECT_THROW(hub::pull(o), UsageError) << repo;
  }
  for (const char* url : {"", "ftp://x", "huggingface.co:x", "http://user:pass@127.0.0.1"}) {
    auto o = options(hub);
    o.hub = url;
    EXPECT_THROW(hub::pull(o), UsageError) << url;
  }
  auto o = options(hub);
  o.token = "a\r\nHost: evil";
  EXPECT_THROW(hub::pull(o), UsageError);
}

TEST(PartialFile, CountsOnlyPartsWhoseLineIsWhole) {
  const TempDir dir;
  const auto path = dir.path() / "f";
  {
    hub::PartialFile file(path, 130, 10, "id");
    EXPECT_EQ(file.parts(), 13);
    file.mark_done(2);
    file.mark_done(12);
  }
  std::ofstream(dir.path() / "f.parts", std::ios::app) << "1";  // cut off: was it 1, 10, 11?
  for (int restart = 0; restart < 2; ++restart) {
    hub::PartialFile file(path, 130, 10, "id");
    EXPECT_FALSE(file.is_done(1));
    EXPECT_TRUE(file.is_done(2));
    EXPECT_TRUE(file.is_done(12));
    EXPECT_EQ(file.done_bytes(), 20);
  }
  EXPECT_EQ(hub::PartialFile(path, 130, 10, "other").done_bytes(), 0);
}

}  // namespace
}  // namespace corral::test
