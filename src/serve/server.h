#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "serve/http_server.h"
#include "serve/service.h"
#include "serve/web_search.h"

namespace corral::serve {

struct ServerOptions {
  HttpOptions http;
  std::string model;                  // how the model is called
  std::vector<std::string> api_keys;  // empty: everybody may ask
  std::string searxng;                // where the page's searches go; empty: nowhere
  /// Receives a line of JSON for each request: when, what, how it ended, how long it took, counts
  /// of tokens. Never prompts or answers. Called by one thread at a time.
  std::function<void(const std::string& line)> log;
};

/// The API of OpenAI over a model. Thread-safe. The engine must outlive it.
class Server {
 public:
  /// Listens at once. Throws as HttpServer does, UsageError for an empty key.
  Server(engine::Engine& engine, std::shared_ptr<const text::Tokenizer> tokenizer,
         const ServerOptions& options);
  ~Server();

  int port() const { return http_->port(); }
  HttpStats http_stats() const { return http_->stats(); }
  /// Takes no more requests and waits until those it has are answered, at most this long; those
  /// that are left then are cancelled. True when all were answered.
  bool drain(std::chrono::milliseconds limit);

 private:
  struct Log {
    std::mutex mutex;
    std::map<int, int64_t> answered;  // requests by status
    std::function<void(const std::string& line)> write;
  };

  void handle(const HttpRequest& request, const ResponderPtr& responder);
  void route(const HttpRequest& request, const ResponderPtr& responder, const Ended& ended);
  void check_key(const HttpRequest& request) const;
  std::string client_of(const HttpRequest& request) const;
  Ended log_of(const HttpRequest& request) const;
  std::string metrics() const;

  engine::Engine& engine_;
  ServerOptions options_;
  Service service_;
  std::shared_ptr<Log> log_;               // shared with requests that end after the server
  std::unique_ptr<WebSearch> web_search_;  // null: the page does not search
  std::atomic<bool> draining_{false};
  std::unique_ptr<HttpServer> http_;  // last: it uses the others
};

/// True when they are equal; takes the same time wherever they differ.
bool equal_in_constant_time(std::string_view given, std::string_view expected);

}  // namespace corral::serve
