#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "fuzz/check.h"
#include "serve/http_server.h"

// Whatever bytes a connection brings, in whatever pieces: each request that the handler sees is
// within the limits, the client gets HTTP or nothing, and the connection ends.
namespace {

using namespace corral::serve;
using corral::test::expect;

constexpr size_t kMostBody = 1 << 12;

class Target {
 public:
  Target() : server_(options(), handlers()) {}
  int port() const { return server_.port(); }

 private:
  static HttpOptions options() {
    HttpOptions options;
    options.port = 0;
    options.max_body_bytes = kMostBody;
    options.max_header_bytes = 1 << 10;
    options.cors_origins = {"https://example.com"};
    return options;
  }
  static HttpHandlers handlers() {
    HttpHandlers handlers;
    handlers.admit = [](const HttpRequest& head) -> std::unique_ptr<HttpResponse> {
      expect(head.body.empty());
      if (head.path != "/refused") return nullptr;
      return std::make_unique<HttpResponse>(HttpResponse{.status = 403});
    };
    handlers.handle = [](const HttpRequest& request, const ResponderPtr& responder) {
      expect(request.body.size() <= kMostBody);
      if (request.path != "/stream") return responder->send({.body = request.body});
      responder->start_stream("text/event-stream");
      responder->write(request.query);
      responder->end();
    };
    return handlers;
  }
  HttpServer server_;
};

/// What the server says to these bytes.
std::string say(int port, std::string_view bytes, size_t piece) {
  const int client = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  expect(::connect(client, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  // Closed at once, so that a million connections do not use up the ports.
  const linger at_once{.l_onoff = 1, .l_linger = 0};
  ::setsockopt(client, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  while (!bytes.empty()) {
    const ssize_t sent = ::send(client, bytes.data(), std::min(piece, bytes.size()), MSG_NOSIGNAL);
    if (sent <= 0) break;
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
  ::shutdown(client, SHUT_WR);
  std::string answer;
  std::array<char, 4096> part{};
  for (ssize_t got; (got = ::recv(client, part.data(), part.size(), 0)) > 0;) {
    answer.append(part.data(), static_cast<size_t>(got));
  }
  ::close(client);
  return answer;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const Target target;
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const size_t piece = data[0] == 0 ? bytes.size() + 1 : data[0];
  const std::string answer = say(target.port(), bytes, piece);
  expect(answer.empty() || answer.starts_with("HTTP/1."));
  return 0;
}
