#pragma once

#include <atomic>
#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "serve/endpoints.h"
#include "serve/guard.h"
#include "serve/http_server.h"
#include "serve/keys.h"
#include "serve/web_search.h"
#include "serve/workers.h"

namespace corral::serve {

/// A model that judges what is asked and answered.
struct GuardOptions {
  std::optional<ShelfEntry> model;  // opened with the server, beside its shelf; none: nobody judges
  bool questions = true;
  bool answers = true;
  std::filesystem::path prompt;  // as GuardPrompt takes it; empty: its own
};

struct ServerOptions {
  HttpOptions http;
  MediaOptions media;
  int64_t response_bytes = int64_t{64} << 20;  // of responses kept for previous_response_id
  std::vector<std::string> api_keys;           // with no file either: everybody may ask
  std::filesystem::path api_key_file;          // as `corral keys` writes it
  std::vector<std::string> hosts;              // as Guard takes them
  std::string searxng;                         // where the page's searches go; empty: nowhere
  /// Receives a line of JSON for each request: when, what, how it ended, how long it took, counts
  /// of tokens. Never prompts or answers. Called by one thread at a time.
  std::function<void(const std::string& line)> log;
  /// Told what keeps the server from its work; called on its own thread.
  std::function<void(const std::string& message)> trouble = nullptr;
  SessionOptions sessions = {};
  GuardOptions guard = {};
};

/// The APIs over the models of a shelf. Thread-safe. The shelf must outlive it.
class Server {
 public:
  /// Listens at once. Throws as HttpServer, KeyRing, GuardPrompt and MediaOptions::check do, and
  /// what opening the guard model throws.
  Server(Shelf& shelf, const ServerOptions& options);
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
  using Endpoint = void (*)(Backend&, const Call&);

  std::unique_ptr<HttpResponse> admit(const HttpRequest& head);
  void handle(HttpRequest request, const ResponderPtr& responder);
  void post(Endpoint endpoint, HttpRequest request, const ResponderPtr& responder,
            const KeyRing::Client& client, const Ended& ended);
  void search(const HttpRequest& request, const ResponderPtr& responder);
  HttpResponse answer_at_once(const HttpRequest& request);
  KeyRing::Client client_of(const HttpRequest& request);
  Ended log_of(const HttpRequest& request, const KeyRing::Client& client) const;
  std::string metrics() const;

  ServerOptions options_;
  Guard guard_;
  KeyRing keys_;
  Backend backend_;
  std::shared_ptr<Log> log_;               // shared with requests that end after the server
  std::unique_ptr<WebSearch> web_search_;  // null: the page does not search
  std::atomic<bool> draining_{false};
  Workers light_;  // these use what is above
  Workers heavy_;
  std::unique_ptr<HttpServer> http_;  // last: it uses the others
};

}  // namespace corral::serve
