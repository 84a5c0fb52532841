#include "serve/http_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <mutex>
#include <thread>

#include "base/error.h"
#include "serve/api_error.h"
#include "serve/http_client.h"

namespace corral::serve {
namespace {

using test::RawClient;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

HttpOptions any_port() {
  HttpOptions options;
  options.port = 0;
  return options;
}

void echo(const HttpRequest& request, const ResponderPtr& responder) {
  responder->send({.body = request.method + " " + request.path + " " + request.body});
}

TEST(HttpServer, AnswersSeveralRequestsOfOneConnection) {
  HttpServer server(any_port(), {.handle = echo});
  RawClient client(server.port());
  // Both at once: the second waits for the answer to the first.
  client.send(test::request_text("POST", "/a?query", "one") + test::request_text("GET", "/b", ""));
  ASSERT_TRUE(client.read_until("GET /b "));
  EXPECT_THAT(client.text, HasSubstr("\r\n\r\nPOST /a one"));
  EXPECT_EQ(server.stats().accepted, 1);
}

TEST(HttpServer, RefusesWhatIsTooLargeOrNoHttp) {
  HttpOptions options = any_port();
  options.max_body_bytes = 1000;
  options.max_header_bytes = 1000;
  HttpServer server(options, {.handle = echo});
  const auto status = [&](const std::string& request) {
    RawClient client(server.port());
    client.send(request);
    client.read_all();
    return test::parse_reply(client.text).status;
  };
  EXPECT_EQ(status(test::request_text("POST", "/", std::string(1001, 'x'))), 413);
  EXPECT_EQ(status("POST / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n"), 413);
  EXPECT_EQ(status("POST / HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n\r\n"), 400);
  EXPECT_EQ(status("POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n"), 400);
  EXPECT_EQ(status("GET / HTTP/1.1\r\nX: " + std::string(2000, 'x') + "\r\n\r\n"), 431);
  EXPECT_EQ(status("\x16\x03\x01 garbage\r\n\r\n"), 400);
  EXPECT_EQ(status("GET / HTTP/9.9\r\n\r\n"), 400);
  EXPECT_EQ(status(test::request_text("POST", "/", "x", "Connection: close\r\n")), 200);
}

TEST(HttpServer, ErrorsOfTheHandlerAreAnswers) {
  HttpServer server(any_port(), {.handle = [](const HttpRequest& request, const ResponderPtr&) {
                      if (request.path == "/api") throw ApiError(418, "a teapot");
                      throw Error("broken");
                    }});
  EXPECT_EQ(test::ask(server.port(), "GET", "/api").status, 418);
  const auto reply = test::ask(server.port(), "GET", "/other");
  EXPECT_EQ(reply.status, 500);
  EXPECT_EQ(reply.json()["error"]["message"], "broken");
}

TEST(HttpServer, ClosesClientsThatSendTooSlowly) {
  HttpOptions options = any_port();
  options.read_timeout = std::chrono::milliseconds(50);
  HttpServer server(options, {.handle = echo});
  RawClient client(server.port());
  client.send("POST / HTTP/1.1\r\nContent-Le");
  client.read_all();  // ends: the server has closed
  EXPECT_EQ(client.text, "");
}

TEST(HttpServer, ClosesClientsThatDoNotReadTheirStream) {
  HttpOptions options = any_port();
  options.max_unsent_bytes = 64 << 10;
  std::mutex mutex;
  ResponderPtr held;
  std::atomic<bool> gone{false};
  HttpServer server(options, {.handle = [&](const HttpRequest&, const ResponderPtr& responder) {
                      const std::lock_guard lock(mutex);
                      held = responder;
                      responder->start_stream("text/event-stream");
                      responder->on_gone([&] { gone = true; });
                    }});
  RawClient client(server.port());
  client.send(test::request_text("GET", "/", ""));
  ASSERT_TRUE(client.read_until("\r\n\r\n"));
  // More than the sockets' buffers and the limit hold; the client reads nothing of it.
  for (int i = 0; i < 100'000 && !gone; ++i) {
    held->write(std::string(1 << 12, 'x'));
    if (i % 64 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  EXPECT_TRUE(gone);
  held->write("to nobody");
  held->end();
}

TEST(HttpServer, HoldsAThousandIdleStreams) {
  std::mutex mutex;
  std::vector<ResponderPtr> held;
  HttpServer server(any_port(), {.handle = [&](const HttpRequest&, const ResponderPtr& responder) {
                      const std::lock_guard lock(mutex);
                      held.push_back(responder);
                      responder->start_stream("text/event-stream");
                    }});
  std::vector<std::unique_ptr<RawClient>> clients;
  try {
    for (int i = 0; i < 1000; ++i) {
      clients.push_back(std::make_unique<RawClient>(server.port()));
      clients.back()->send(test::request_text("GET", "/", ""));
      ASSERT_TRUE(clients.back()->read_until("\r\n\r\n"));
    }
  } catch (const std::runtime_error&) {
    GTEST_SKIP() << "this machine allows too few open files";
  }
  EXPECT_EQ(server.stats().connections, 1000);
  for (const ResponderPtr& responder : held) {
    responder->write("data: here\n\n");
    responder->end();
  }
  for (const auto& client : clients) ASSERT_TRUE(client->read_until("here"));
}

TEST(HttpServer, TellsThatAClientLeft) {
  std::atomic<int> asked{0};
  std::atomic<int> gone{0};
  HttpServer server(any_port(), {.handle = [&](const HttpRequest&, const ResponderPtr& responder) {
                      responder->on_gone([&] { ++gone; });
                      ++asked;
                    }});
  const auto wait_for = [](const std::atomic<int>& value) {
    while (value == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  };
  RawClient client(server.port());
  client.send(test::request_text("GET", "/", ""));
  wait_for(asked);
  client.close();
  wait_for(gone);
  EXPECT_EQ(gone, 1);
}

TEST(HttpServer, SpeaksToOldClients) {
  HttpServer server(any_port(), {.handle = [](const HttpRequest&, const ResponderPtr& responder) {
                      responder->start_stream("text/plain");
                      responder->write("one ");
                      responder->write("two");
                      responder->end();
                    }});
  RawClient client(server.port());
  client.send("GET / HTTP/1.0\r\n\r\n");
  client.read_all();
  EXPECT_THAT(client.text, HasSubstr("\r\n\r\none two"));
}

TEST(HttpServer, RefusesConnectionsBeyondItsLimit) {
  HttpOptions options = any_port();
  options.max_connections = 2;
  HttpServer server(options, {.handle = echo});
  RawClient one(server.port());
  RawClient two(server.port());
  one.send(test::request_text("GET", "/1", ""));
  two.send(test::request_text("GET", "/2", ""));
  ASSERT_TRUE(one.read_until("/1"));
  ASSERT_TRUE(two.read_until("/2"));
  RawClient three(server.port());
  three.read_all();
  EXPECT_EQ(three.text, "");
  EXPECT_EQ(server.stats().refused, 1);
}

TEST(HttpServer, AsksForABodyOnlyWhenItWantsIt) {
  std::atomic<int> handled{0};
  HttpServer server(any_port(),
                    {.admit = [](const HttpRequest& head) -> std::unique_ptr<HttpResponse> {
                       if (head.path == "/no")
                         return std::make_unique<HttpResponse>(HttpResponse{.status = 403});
                       return nullptr;
                     },
                     .handle =
                         [&](const HttpRequest& request, const ResponderPtr& responder) {
                           ++handled;
                           responder->send({.body = "got " + request.body});
                         }});
  RawClient client(server.port());
  client.send("POST /yes HTTP/1.1\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
  ASSERT_TRUE(client.read_until("HTTP/1.1 100 Continue\r\n\r\n"));
  client.send("body");
  ASSERT_TRUE(client.read_until("got body"));
  client.send("POST /no HTTP/1.1\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
  client.read_all();
  EXPECT_THAT(client.text, HasSubstr("403 Forbidden"));
  EXPECT_EQ(handled, 1);
  // Without a body the connection goes on.
  RawClient other(server.port());
  other.send("GET /no HTTP/1.1\r\n\r\n");
  ASSERT_TRUE(other.read_until("403 Forbidden"));
  other.send("GET /yes HTTP/1.1\r\n\r\n");
  EXPECT_TRUE(other.read_until("got "));
}

TEST(HttpServer, LimitsAllBodiesTogether) {
  HttpOptions options = any_port();
  options.max_bodies_bytes = 100'000;
  options.max_body_bytes = 90'000;
  std::mutex mutex;
  std::vector<ResponderPtr> held;
  HttpServer server(options,
                    {.handle = [&](const HttpRequest& request, const ResponderPtr& responder) {
                      const std::lock_guard lock(mutex);
                      if (request.path == "/hold") {
                        responder->start_stream("text/plain");
                        held.push_back(responder);
                      } else {
                        responder->send({});
                      }
                    }});
  const std::string large(80'000, 'x');
  RawClient first(server.port());
  first.send(test::request_text("POST", "/hold", large));
  ASSERT_TRUE(first.read_until("\r\n\r\n"));
  const auto status = [&] { return test::ask(server.port(), "POST", "/", large).status; };
  EXPECT_EQ(status(), 503);
  held.front()->end();
  ASSERT_TRUE(first.read_until("0\r\n\r\n"));
  EXPECT_EQ(status(), 200);
}

TEST(HttpServer, AHeadRequestGetsNoBody) {
  HttpServer server(any_port(), {.handle = echo});
  RawClient client(server.port());
  client.send("HEAD /a HTTP/1.1\r\nConnection: close\r\n\r\n");
  client.read_all();
  EXPECT_THAT(client.text, HasSubstr("Content-Length: 8\r\n"));
  EXPECT_TRUE(client.text.ends_with("\r\n\r\n"));
}

TEST(HttpServer, NamesAnAddressItCannotUse) {
  HttpServer first(any_port(), {.handle = echo});
  HttpOptions taken = any_port();
  taken.port = first.port();
  EXPECT_THAT([&] { HttpServer(taken, {.handle = echo}); },
              ThrowsMessage<IoError>(HasSubstr("cannot listen on 127.0.0.1 port")));
  taken.host = "nowhere.example";
  EXPECT_THAT([&] { HttpServer(taken, {.handle = echo}); },
              ThrowsMessage<UsageError>(HasSubstr("'nowhere.example' is no address")));
  taken = any_port();
  taken.port = 65536;
  EXPECT_THAT([&] { HttpServer(taken, {.handle = echo}); },
              ThrowsMessage<UsageError>(HasSubstr("port is 65536")));
}

}  // namespace
}  // namespace corral::serve
