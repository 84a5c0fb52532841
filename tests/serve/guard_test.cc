#include "serve/guard.h"

#include <gtest/gtest.h>

#include "serve/api_error.h"

namespace corral::serve {
namespace {

int status(const Guard& guard, const std::string& host, const std::string& origin = "") {
  HttpRequest request;
  request.host = host;
  request.origin = origin;
  try {
    guard.check(request);
  } catch (const ApiError& error) {
    return error.status();
  }
  return 200;
}

// DNS rebinding: a name of somebody else that points to 127.0.0.1 makes a browser send its pages'
// requests here, as if they were the server's own.
TEST(Guard, KnowsTheNamesOfALoopbackServer) {
  const Guard guard(HttpOptions{}, {"corral.local"});
  for (const char* host : {"localhost", "localhost:8080", "LOCALHOST:1", "127.0.0.1:8080",
                           "127.0.0.2", "[::1]:8080", "[::1]", "corral.local:99", ""}) {
    EXPECT_EQ(status(guard, host), 200) << host;
  }
  for (const char* host : {"evil.example", "localhost.evil.example", "127.0.0.1.evil.example",
                           "evil.example:8080", "[::2]", "["}) {
    EXPECT_EQ(status(guard, host), 403) << host;
  }
  HttpOptions open;
  open.host = "0.0.0.0";
  EXPECT_EQ(status(Guard(open, {}), "my.machine"), 200);
  EXPECT_EQ(status(Guard(open, {"my.machine"}), "other.machine"), 403);
}

TEST(Guard, LetsOnlyPagesOfItsOwnAndOfThoseThatAreNamed) {
  HttpOptions http;
  const Guard closed(http, {});
  EXPECT_EQ(status(closed, "localhost:8080", "http://localhost:8080"), 200);
  EXPECT_EQ(status(closed, "localhost:8080", "https://localhost:8080"), 200);
  for (const char* origin :
       {"http://localhost:3000", "https://example.com", "null", "http://localhost:8080.evil"}) {
    EXPECT_EQ(status(closed, "localhost:8080", origin), 403) << origin;
  }
  http.cors_origins = {"https://example.com"};
  const Guard shared(http, {});
  EXPECT_EQ(status(shared, "localhost", "https://example.com"), 200);
  EXPECT_EQ(status(shared, "localhost", "https://example.com.evil"), 403);
  http.cors_origins = {"*"};
  EXPECT_EQ(status(Guard(http, {}), "localhost", "https://anybody.example"), 200);
  EXPECT_EQ(status(Guard(http, {}), "localhost", "https://x\r\nSet-Cookie: y"), 403);
}

}  // namespace
}  // namespace corral::serve
