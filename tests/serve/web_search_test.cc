#include "serve/web_search.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "serve/http_server.h"
#include "serve/server_fixture.h"

namespace corral::serve {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

TEST(SearchResults, AreTheFirstTenWithShortTexts) {
  json answer = {{"results", json::array()}};
  answer["results"].push_back({{"title", "No web"}, {"url", "javascript:alert(1)"}});
  answer["results"].push_back("nonsense");
  for (int i = 0; i < 12; ++i) {
    answer["results"].push_back({{"title", "T" + std::to_string(i)},
                                 {"url", "https://example.org/" + std::to_string(i)},
                                 {"content", std::string(1000, 'x')},
                                 {"score", 1}});
  }
  const json results = json::parse(search_results(answer.dump()))["results"];
  ASSERT_EQ(results.size(), 10U);
  EXPECT_EQ(results[0]["title"], "T0");
  EXPECT_EQ(results[9]["url"], "https://example.org/9");
  EXPECT_EQ(results[0]["content"].get<std::string>().size(), 600U);
  EXPECT_FALSE(results[0].contains("score"));
}

TEST(SearchResults, AreCutBetweenCharacters) {
  std::string text(599, 'x');
  text += "\xe2\x82\xac and more";  // a euro sign over the limit
  const json answer = {{"results", {{{"url", "http://a"}, {"content", text}}}}};
  const json results = json::parse(search_results(answer.dump()))["results"];
  EXPECT_EQ(results[0]["content"], std::string(599, 'x'));
}

TEST(SearchResults, OfSomethingElseAreRefused) {
  for (const char* text : {"", "<html>", "[]", "{}", R"({"results": 3})"}) {
    EXPECT_THROW(search_results(text), CorruptFile) << text;
  }
}

TEST(WebSearch, NeedsAnHttpAddress) {
  for (const char* address : {"", "ftp://a", "localhost", "file:///etc"}) {
    EXPECT_THROW(WebSearch search(address), UsageError) << address;
  }
}

// A corral whose search server says what a test wants.
class PageSearch : public test::ServerTest {
 protected:
  void start_with(std::function<void(const HttpRequest&, const ResponderPtr&)> searxng) {
    HttpOptions options;
    options.port = 0;
    HttpHandlers handlers;
    handlers.handle = std::move(searxng);
    search_server = std::make_unique<HttpServer>(options, std::move(handlers));
    start([this](ServerOptions& server_options, engine::SchedulerOptions&) {
      server_options.searxng = "http://127.0.0.1:" + std::to_string(search_server->port()) + "/";
    });
  }
  std::unique_ptr<HttpServer> search_server;
};

TEST_F(PageSearch, PassesQueriesOn) {
  std::string path;
  start_with([&](const HttpRequest& request, const ResponderPtr& responder) {
    path = request.path;
    responder->send(
        {.body = R"({"results": [{"title": "T", "url": "https://a", "content": "C"}]})"});
  });
  EXPECT_EQ(get("/page/features").json()["web_search"], true);
  const test::Reply reply = post("/page/search", {{"query", "llamas & co"}});
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(reply.json()["results"][0]["content"], "C");
  EXPECT_EQ(path, "/search");
}

TEST_F(PageSearch, SaysWhatWentWrongThere) {
  start_with([](const HttpRequest&, const ResponderPtr& responder) {
    responder->send({.status = 403, .body = "no"});
  });
  const test::Reply reply = post("/page/search", {{"query", "x"}});
  EXPECT_EQ(reply.status, 502);
  EXPECT_THAT(reply.body, HasSubstr("status 403"));
}

TEST_F(PageSearch, RefusesQueriesThatAreNone) {
  start_with([](const HttpRequest&, const ResponderPtr& responder) { responder->send({}); });
  EXPECT_EQ(post("/page/search", json::object()).status, 400);
  EXPECT_EQ(post("/page/search", {{"query", ""}}).status, 400);
  EXPECT_EQ(post("/page/search", {{"query", std::string(501, 'x')}}).status, 400);
}

TEST_F(PageSearch, IsNotThereWithoutAnAddress) {
  start();
  EXPECT_EQ(get("/page/features").json()["web_search"], false);
  EXPECT_EQ(post("/page/search", {{"query", "x"}}).status, 404);
}

}  // namespace
}  // namespace corral::serve
