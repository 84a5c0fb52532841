#include "serve/http_server.h"

#include <algorithm>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <optional>
#include <thread>
#include <utility>

#include "base/error.h"
#include "serve/http_connection.h"

namespace corral::serve {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using ErrorCode = boost::system::error_code;

constexpr auto kAcceptPause = std::chrono::milliseconds(100);
constexpr auto kBetweenTroubles = std::chrono::minutes(1);

}  // namespace

std::string_view status_text(int status) {
  const auto text =
      boost::beast::http::obsolete_reason(static_cast<boost::beast::http::status>(status));
  return {text.data(), text.size()};
}

void HttpOptions::check() const {
  const auto in = [](const char* name, int64_t value, int64_t low, int64_t high) {
    if (value >= low && value <= high) return;
    throw UsageError(str(name, " is ", value, ", needs ", low, " to ", high));
  };
  constexpr int64_t kMuch = int64_t{1} << 40;
  in("port", port, 0, 65535);
  in("max_connections", max_connections, 1, 1 << 20);
  in("max_header_bytes", max_header_bytes, 256, 1 << 20);
  in("max_body_bytes", max_body_bytes, 1, kMuch);
  in("max_bodies_bytes", max_bodies_bytes, 1, kMuch);
  in("max_unsent_bytes", max_unsent_bytes, 1024, kMuch);
  in("read_timeout", read_timeout.count(), 1, 86'400'000);
  in("write_timeout", write_timeout.count(), 1, 86'400'000);
  if (tls_certificate.empty() != tls_key.empty()) {
    throw UsageError("TLS needs both a certificate and its key");
  }
  for (const std::string& origin : cors_origins) {
    const bool clean = origin == "*" ||
                       ((origin.starts_with("http://") || origin.starts_with("https://")) &&
                        origin.find_first_of("\r\n ,", 0) == origin.npos && !origin.ends_with("/"));
    if (!clean) {
      throw UsageError(
          str("'", origin, "' is no origin: use https://HOST[:PORT] without a path, or *"));
    }
  }
}

bool HttpOptions::shares_with(std::string_view origin) const {
  // What is not printable never becomes part of an answer.
  const bool printable =
      std::all_of(origin.begin(), origin.end(), [](char c) { return c > ' ' && c < 127; });
  return printable &&
         std::any_of(cors_origins.begin(), cors_origins.end(),
                     [&](const std::string& one) { return one == "*" || one == origin; });
}

class HttpServer::Loop {
 public:
  Loop(const HttpOptions& options, HttpHandlers handlers);
  ~Loop();

  int port() const { return acceptor_port_; }
  HttpStats stats() const { return {shared_.open, accepted_, refused_, failed_}; }
  void drain();
  bool idle() const { return shared_.busy == 0; }

 private:
  void listen();
  void accept();
  void accepted(tcp::socket socket);
  void stop_accepting();
  void tell_trouble(ErrorCode error);

  HttpShared shared_;
  std::unique_ptr<TransportFactory> transports_;
  asio::executor_work_guard<asio::io_context::executor_type> work_;
  tcp::acceptor acceptor_;
  asio::steady_timer accept_pause_;
  int acceptor_port_ = 0;
  std::atomic<int64_t> accepted_{0};
  std::atomic<int64_t> refused_{0};
  std::atomic<int64_t> failed_{0};
  std::optional<std::chrono::steady_clock::time_point> told_;
  std::thread thread_;
};

HttpServer::Loop::Loop(const HttpOptions& options, HttpHandlers handlers)
    : shared_{.options = options,
              .handlers = std::move(handlers),
              // Shared with the answers that others still hold when the server is gone.
              .context = std::make_shared<asio::io_context>(1)},
      transports_(options.tls_certificate.empty()
                      ? plain_transports()
                      : tls_transports(options.tls_certificate, options.tls_key)),
      work_(asio::make_work_guard(*shared_.context)),
      acceptor_(*shared_.context),
      accept_pause_(*shared_.context) {
  listen();
  accept();
  thread_ = std::thread([this] { shared_.context->run(); });
}

void HttpServer::Loop::listen() {
  const HttpOptions& options = shared_.options;
  ErrorCode error;
  const auto address = asio::ip::make_address(options.host, error);
  if (error) {
    throw UsageError(str("host '", options.host, "' is no address: use 127.0.0.1, ::1 or 0.0.0.0"));
  }
  try {
    const tcp::endpoint endpoint(address, static_cast<uint16_t>(options.port));
    acceptor_.open(endpoint.protocol());
    acceptor_.set_option(tcp::acceptor::reuse_address(true));
    acceptor_.bind(endpoint);
    acceptor_.listen();
    acceptor_port_ = acceptor_.local_endpoint().port();
  } catch (const boost::system::system_error& failure) {
    throw IoError(str("cannot listen on ", options.host, " port ", options.port, ": ",
                      failure.code().message()));
  }
}

HttpServer::Loop::~Loop() {
  shared_.draining = true;
  asio::post(*shared_.context, [this] {
    stop_accepting();
    const auto open = shared_.connections;
    for (const auto& connection : open) connection->close();
    work_.reset();
  });
  thread_.join();
}

void HttpServer::Loop::stop_accepting() {
  ErrorCode ignored;
  acceptor_.close(ignored);
  accept_pause_.cancel();
}

void HttpServer::Loop::accept() {
  acceptor_.async_accept([this](ErrorCode error, tcp::socket socket) {
    if (shared_.draining || error == asio::error::operation_aborted) return;
    if (!error) {
      accepted(std::move(socket));
      return accept();
    }
    // Out of descriptors, most likely: connections that end will give some back.
    tell_trouble(error);
    accept_pause_.expires_after(kAcceptPause);
    accept_pause_.async_wait([this](ErrorCode cancelled) {
      if (!cancelled) accept();
    });
  });
}

void HttpServer::Loop::tell_trouble(ErrorCode error) {
  ++failed_;
  const auto now = std::chrono::steady_clock::now();
  if (!shared_.handlers.trouble || (told_ && now - *told_ < kBetweenTroubles)) return;
  told_ = now;
  const bool descriptors = error == boost::system::errc::too_many_files_open ||
                           error == boost::system::errc::too_many_files_open_in_system;
  shared_.handlers.trouble(
      str("cannot accept a connection: ", error.message(),
          descriptors ? ": raise the limit of descriptors (ulimit -n, LimitNOFILE) or lower "
                        "--max-connections"
                      : ""));
}

void HttpServer::Loop::accepted(tcp::socket socket) {
  if (shared_.open >= shared_.options.max_connections) {
    ++refused_;
    return;  // the socket closes
  }
  ++accepted_;
  ErrorCode ignored;
  socket.set_option(tcp::no_delay(true), ignored);
  std::make_shared<HttpConnection>(shared_, transports_->make(std::move(socket)))->open();
}

void HttpServer::Loop::drain() {
  if (shared_.draining.exchange(true)) return;
  asio::post(*shared_.context, [this] {
    stop_accepting();
    const auto open = shared_.connections;
    for (const auto& connection : open) connection->close_if_idle();
  });
}

HttpServer::HttpServer(const HttpOptions& options, HttpHandlers handlers) {
  options.check();
  loop_ = std::make_unique<Loop>(options, std::move(handlers));
}

HttpServer::~HttpServer() = default;
int HttpServer::port() const { return loop_->port(); }
HttpStats HttpServer::stats() const { return loop_->stats(); }
void HttpServer::drain() { loop_->drain(); }

bool HttpServer::drain_and_wait(std::chrono::milliseconds limit) {
  drain();
  const auto end = std::chrono::steady_clock::now() + limit;
  while (!loop_->idle()) {
    if (std::chrono::steady_clock::now() >= end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

}  // namespace corral::serve
