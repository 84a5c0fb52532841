#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace corral::serve {

/// A request as the endpoints see it: read whole, within the server's limits.
struct HttpRequest {
  std::string method;
  std::string path;   // without the query
  std::string query;  // what stands behind the question mark
  std::string host;
  std::string origin;
  std::string authorization;
  std::string api_key;  // x-api-key, as Anthropic's clients send it
  std::string content_type;
  std::string accept_encoding;
  std::string if_none_match;
  std::string body;
};

/// A whole answer.
struct HttpResponse {
  int status = 200;
  std::string body = {};
  std::string content_type = "application/json";
  std::vector<std::pair<std::string, std::string>> headers = {};
};

/// Where an answer goes: one send(), or start_stream(), any number of write() and an end(). Never
/// blocks, may be called from any thread, and does nothing when the client is gone or the answer
/// was ended.
class Responder {
 public:
  virtual ~Responder() = default;
  virtual void send(HttpResponse response) = 0;
  virtual void start_stream(std::string_view content_type) = 0;
  virtual void write(std::string bytes) = 0;
  virtual void end() = 0;
  /// Calls this once, on the server's thread, when the client leaves before the answer's end (at
  /// once if it has left already).
  virtual void on_gone(std::function<void()> callback) = 0;
};

using ResponderPtr = std::shared_ptr<Responder>;

/// What a server does with requests, on its own thread.
struct HttpHandlers {
  /// Looks at a request before its body is read: what it returns, if anything, is the answer, and
  /// the body is not read. May be empty.
  std::function<std::unique_ptr<HttpResponse>(const HttpRequest&)> admit = nullptr;
  /// Answers a whole request. What it throws becomes an error answer.
  std::function<void(HttpRequest, const ResponderPtr&)> handle = nullptr;
  /// Told, at most once a minute, why connections cannot be accepted. May be empty.
  std::function<void(const std::string&)> trouble = nullptr;
};

/// The reason phrase of a status.
std::string_view status_text(int status);

}  // namespace corral::serve
