#include "serve/static_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "serve/page_files.h"
#include "serve/server_fixture.h"

namespace corral::serve {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

std::string header(const HttpResponse& response, std::string_view name) {
  for (const auto& [key, value] : response.headers) {
    if (key == name) return value;
  }
  return "";
}

HttpResponse get(const std::string& path, const std::string& accept_encoding = "",
                 const std::string& if_none_match = "") {
  HttpRequest request;
  request.method = "GET";
  request.path = path;
  request.accept_encoding = accept_encoding;
  request.if_none_match = if_none_match;
  const auto response = get_static_file(request);
  EXPECT_TRUE(response) << path;
  return response.value_or(HttpResponse{});
}

class Page : public ::testing::Test {
 protected:
  void SetUp() override {
    if (page_files().empty()) GTEST_SKIP() << "this build has no page: esbuild was missing";
  }
};

TEST_F(Page, IsServedAtTheRoot) {
  const HttpResponse response = get("/");
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.content_type, "text/html; charset=utf-8");
  EXPECT_THAT(response.body, StartsWith("<!doctype html>"));
}

TEST_F(Page, ComesCompressedForThoseWhoTakeIt) {
  for (const PageFile& file : page_files()) {
    const std::string path(file.path);
    const HttpResponse packed = get(path, "br, gzip;q=0.5");
    const HttpResponse plain = get(path);
    EXPECT_EQ(header(packed, "Content-Encoding"), "gzip");
    EXPECT_EQ(header(plain, "Content-Encoding"), "");
    EXPECT_EQ(gunzip(packed.body, plain.body.size()), plain.body) << path;
  }
}

TEST_F(Page, IsNotCompressedForThoseWhoRefuse) {
  for (const char* encoding : {"", "br", "gzip;q=0", "gzip;q=0.0", "x-gzip2", "gzipped"}) {
    EXPECT_EQ(header(get("/", encoding), "Content-Encoding"), "") << encoding;
  }
  for (const char* encoding : {"gzip", "deflate, gzip", "gzip;q=1.0", "gzip ; q=0.001"}) {
    EXPECT_EQ(header(get("/", encoding), "Content-Encoding"), "gzip") << encoding;
  }
}

TEST_F(Page, IsNotSentAgainToThoseWhoHaveIt) {
  const std::string etag = header(get("/"), "ETag");
  const HttpResponse again = get("/", "gzip", "\"other\", " + etag);
  EXPECT_EQ(again.status, 304);
  EXPECT_TRUE(again.body.empty());
  EXPECT_EQ(get("/", "gzip", "\"other\"").status, 200);
}

TEST_F(Page, MayOnlyAskThisServer) {
  for (const PageFile& file : page_files()) {
    const std::string policy = header(get(std::string(file.path)), "Content-Security-Policy");
    EXPECT_THAT(policy, HasSubstr("default-src 'none'")) << file.path;
    EXPECT_THAT(policy, Not(HasSubstr("http"))) << file.path;
    EXPECT_THAT(policy, Not(HasSubstr("*"))) << file.path;
  }
}

TEST_F(Page, RunsNothingThatAModelWrote) {
  const std::string policy = header(get("/"), "Content-Security-Policy");
  EXPECT_THAT(policy, Not(HasSubstr("unsafe")));
  EXPECT_THAT(policy, HasSubstr("script-src 'self'"));
}

TEST_F(Page, RunsProgramsOfAModelInAnOriginOfTheirOwnOnly) {
  const std::string policy = header(get("/frame"), "Content-Security-Policy");
  EXPECT_THAT(policy, StartsWith("sandbox allow-scripts;"));
  EXPECT_THAT(policy, Not(HasSubstr("allow-same-origin")));
  EXPECT_THAT(policy, Not(HasSubstr("connect-src")));  // so that default-src 'none' holds
}

TEST_F(Page, KnowsNoOtherFile) {
  for (const char* path :
       {"/assets", "/assets/", "/assets/../", "/index.html", "//", "/v1/models"}) {
    HttpRequest request;
    request.method = "GET";
    request.path = path;
    EXPECT_FALSE(get_static_file(request)) << path;
  }
}

TEST_F(Page, RefusesADamagedCopy) {
  const std::string packed = get("/", "gzip").body;
  const size_t plain_bytes = get("/").body.size();
  EXPECT_EQ(gunzip(packed, plain_bytes).size(), plain_bytes);
  EXPECT_THROW(gunzip(packed, plain_bytes - 1), CorruptFile);
  EXPECT_THROW(gunzip(packed, plain_bytes + 1), CorruptFile);
  EXPECT_THROW(gunzip(packed.substr(0, packed.size() / 2), plain_bytes), CorruptFile);
  EXPECT_THROW(gunzip(packed.substr(1), plain_bytes), CorruptFile);
  EXPECT_THROW(gunzip("", 0), CorruptFile);
}

using PageServer = test::ServerTest;

TEST_F(PageServer, GivesThePageToThoseWithoutAKey) {
  if (page_files().empty()) GTEST_SKIP() << "this build has no page: esbuild was missing";
  start([](ServerOptions& options, engine::SchedulerOptions&) { options.api_keys = {"secret"}; });
  EXPECT_EQ(get("/").status, 200);
  EXPECT_EQ(get("/v1/models").status, 401);
  EXPECT_THAT(get("/").head, HasSubstr("Cache-Control: no-cache\r\n"));
  EXPECT_THAT(get("/").head, Not(HasSubstr("no-store")));
}

}  // namespace
}  // namespace corral::serve
