#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "serve/http.h"

namespace corral::serve {

struct HttpOptions {
  std::string host = "127.0.0.1";  // an address, not a name
  int port = 8080;                 // 0: any free one
  int64_t max_connections = 4096;
  int64_t max_header_bytes = 16 << 10;
  int64_t max_body_bytes = 8 << 20;
  int64_t max_bodies_bytes = int64_t{1} << 30;      // of all requests at the same time
  int64_t max_unsent_bytes = 1 << 20;               // of a stream whose client reads too slowly
  std::chrono::milliseconds read_timeout{30'000};   // for a whole request, and between requests
  std::chrono::milliseconds write_timeout{30'000};  // for each piece of an answer
  std::string tls_certificate;                      // PEM file of a chain; empty: plain HTTP
  std::string tls_key;                              // PEM file of its key
  /// Whose pages may read answers: "https://example.com", or "*".
  std::vector<std::string> cors_origins;

  /// Throws UsageError naming the option and its range.
  void check() const;
  /// True for an origin of cors_origins.
  bool shares_with(std::string_view origin) const;
};

struct HttpStats {
  int64_t connections = 0;  // open now
  int64_t accepted = 0;     // since the start
  int64_t refused = 0;      // beyond max_connections
  int64_t failed = 0;       // times that accepting failed: no descriptors left
};

/// HTTP/1.1 on one thread of its own, asynchronous, so that a connection that waits costs memory
/// only; with a certificate through TLS 1.2 or 1.3. Clients that send too slowly, too much, or do
/// not read lose their connection.
class HttpServer {
 public:
  /// Listens at once. Throws IoError naming the address or the certificate when it cannot,
  /// UsageError for bad options.
  HttpServer(const HttpOptions& options, HttpHandlers handlers);
  /// Closes all connections.
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  int port() const;
  HttpStats stats() const;
  /// Accepts no more connections; each that is open ends after its answer.
  void drain();
  /// drain(), and waits at most this long for the answers to be sent. True when they are.
  bool drain_and_wait(std::chrono::milliseconds limit);

 private:
  class Loop;
  std::unique_ptr<Loop> loop_;
};

}  // namespace corral::serve
