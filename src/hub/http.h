#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace corral::hub {

/// What holds for all requests of a download.
struct HttpOptions {
  std::string token = {};         // sent as "Authorization: Bearer" to token_origin, nowhere else
  std::string token_origin = {};  // as origin_of() writes it
  double connect_seconds = 15;
  double stall_seconds = 30;  // without a byte for so long, a connection counts as broken
  /// Set: give up as soon as possible, with Cancelled. May be null.
  const std::atomic<bool>* cancel = nullptr;
};

/// Bytes first to last, both included.
struct ByteRange {
  int64_t first = 0;
  int64_t last = 0;
};

struct HttpResponse {
  int64_t status = 0;
  std::map<std::string, std::string> headers = {};  // names in lower case
  std::string url = {};                             // after redirects
  std::string body = {};                            // when no sink took it

  std::string header(const std::string& name) const;
  /// Retry-After in seconds; absent: the server does not say.
  std::optional<double> retry_after_seconds() const;
};

/// Receives the body of a 200 or 206 answer piece by piece; the response has status and headers.
/// False: break off.
using BodySink = std::function<bool(const HttpResponse&, std::string_view)>;

/// One connection that is kept open between requests (libcurl). Not thread-safe: one a thread.
class HttpClient {
 public:
  explicit HttpClient(const HttpOptions& options);
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  /// GET, following at most ten redirects. Bodies without sink, and those of other answers than 200
  /// and 206, are kept up to 64 MiB. Throws TransferError when the connection fails, stalls or is
  /// cut, Cancelled, Error for redirects that are refused. Any status is an answer.
  HttpResponse get(const std::string& url, std::optional<ByteRange> range = {},
                   const BodySink& sink = nullptr);

 private:
  struct Transfer;
  HttpResponse get_once(const std::string& url, std::optional<ByteRange> range,
                        const BodySink& sink);

  HttpOptions options_;
  std::unique_ptr<void, void (*)(void*)> handle_;
};

}  // namespace corral::hub
