#include "serve/http_server.h"

#include <array>
#include <atomic>
#include <boost/asio.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <deque>
#include <optional>
#include <set>
#include <sstream>
#include <thread>
#include <utility>

#include "base/error.h"
#include "serve/api_error.h"

namespace corral::serve {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using asio::ip::tcp;
using ErrorCode = boost::system::error_code;

constexpr auto kLinger = std::chrono::seconds(2);
constexpr auto kAcceptPause = std::chrono::milliseconds(100);

std::string header_block(const HttpResponse& response, bool keep_alive) {
  std::string text = str("HTTP/1.1 ", response.status, " ", status_text(response.status),
                         "\r\nContent-Type: ", response.content_type, "\r\n");
  bool cached = false;
  for (const auto& [name, value] : response.headers) {
    text += str(name, ": ", value, "\r\n");
    cached = cached || name == "Cache-Control";
  }
  text += "X-Content-Type-Options: nosniff\r\n";
  if (!cached) text += "Cache-Control: no-store\r\n";
  if (!keep_alive) text += "Connection: close\r\n";
  return text;
}

std::string chunk(const std::string& bytes) {
  std::ostringstream out;
  out << std::hex << bytes.size() << "\r\n" << bytes << "\r\n";
  return std::move(out).str();
}

}  // namespace

std::string_view status_text(int status) {
  const auto text = http::obsolete_reason(static_cast<http::status>(status));
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
  in("max_unsent_bytes", max_unsent_bytes, 1024, kMuch);
  in("read_timeout", read_timeout.count(), 1, 86'400'000);
  in("write_timeout", write_timeout.count(), 1, 86'400'000);
}

class HttpServer::Loop {
 public:
  Loop(const HttpOptions& options, HttpHandler handler);
  ~Loop();

  int port() const { return acceptor_port_; }
  HttpStats stats() const { return {open_, accepted_, refused_}; }
  void drain();
  bool idle() const { return busy_ == 0; }

 private:
  class Connection;
  class Exchange;
  void accept();
  void accepted(tcp::socket socket);

  HttpOptions options_;
  HttpHandler handler_;
  // Shared with the answers that others still hold when the server is gone.
  std::shared_ptr<asio::io_context> context_ = std::make_shared<asio::io_context>(1);
  asio::executor_work_guard<asio::io_context::executor_type> work_;
  tcp::acceptor acceptor_;
  asio::steady_timer accept_pause_;
  int acceptor_port_ = 0;
  std::atomic<bool> draining_{false};
  std::atomic<int64_t> open_{0};
  std::atomic<int64_t> busy_{0};  // connections with a request that is not answered whole
  std::atomic<int64_t> accepted_{0};
  std::atomic<int64_t> refused_{0};
  std::set<std::shared_ptr<Connection>> connections_;  // those that are not closed
  std::thread thread_;
};

/// One client, on the loop's thread.
class HttpServer::Loop::Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(Loop& loop, tcp::socket socket) : loop_(loop), stream_(std::move(socket)) {}

  void open() {
    loop_.connections_.insert(shared_from_this());
    ++loop_.open_;
    read();
  }
  void close();
  void close_if_idle() {
    if (!busy_) close();
  }

  // What a Responder asks for, about the request of this number.
  bool answers(int64_t number) const { return !closed_ && busy_ && !ended_ && number == number_; }
  void send_whole(HttpResponse response);
  void begin_stream(const std::string& content_type);
  void write(std::string bytes) {
    if (streaming_) enqueue(chunked_ ? chunk(bytes) : std::move(bytes));
  }
  void end_stream() {
    if (!streaming_) return;
    streaming_ = false;
    ended_ = true;
    enqueue(chunked_ ? "0\r\n\r\n" : "");
  }
  void set_gone(std::function<void()> callback) { gone_ = std::move(callback); }

 private:
  void read();
  void on_read(ErrorCode error);
  void refuse(int status, const std::string& message);
  void dispatch();
  void watch();
  void linger();
  void discard();
  void enqueue(std::string bytes);
  void flush();
  void finish();

  Loop& loop_;
  beast::tcp_stream stream_;
  beast::flat_buffer buffer_;
  std::optional<http::request_parser<http::string_body>> parser_;
  std::deque<std::string> unsent_;
  size_t unsent_bytes_ = 0;
  int64_t number_ = 0;      // of the request
  bool busy_ = false;       // a request is being answered
  bool answered_ = false;   // its header is on the way
  bool streaming_ = false;  // write() may follow
  bool ended_ = false;      // all of the answer is in unsent_
  bool chunked_ = true;
  bool keep_alive_ = true;
  bool writing_ = false;
  bool closed_ = false;
  std::function<void()> gone_;
  std::chrono::steady_clock::time_point linger_end_;
  std::array<char, 1024> unread_{};
};

/// The answer to one request. Outlives its connection, and the server, in whoever holds it.
class HttpServer::Loop::Exchange : public Responder {
 public:
  Exchange(std::shared_ptr<asio::io_context> context, std::weak_ptr<Connection> connection,
           int64_t number)
      : context_(std::move(context)), connection_(std::move(connection)), number_(number) {}

  void send(HttpResponse response) override {
    post([response = std::move(response)](Connection& c) mutable {
      c.send_whole(std::move(response));
    });
  }
  void start_stream(std::string_view content_type) override {
    post([type = std::string(content_type)](Connection& c) { c.begin_stream(type); });
  }
  void write(std::string bytes) override {
    post([bytes = std::move(bytes)](Connection& c) mutable { c.write(std::move(bytes)); });
  }
  void end() override {
    post([](Connection& c) { c.end_stream(); });
  }
  void on_gone(std::function<void()> callback) override {
    asio::post(*context_, [connection = connection_, number = number_,
                           callback = std::move(callback)]() mutable {
      const auto held = connection.lock();
      if (held != nullptr && held->answers(number)) {
        held->set_gone(std::move(callback));
      } else {
        callback();
      }
    });
  }

 private:
  template <class Action>
  void post(Action action) {
    asio::post(*context_,
               [connection = connection_, number = number_, action = std::move(action)]() mutable {
                 const auto held = connection.lock();
                 if (held != nullptr && held->answers(number)) action(*held);
               });
  }

  std::shared_ptr<asio::io_context> context_;
  std::weak_ptr<Connection> connection_;
  int64_t number_;
};

void HttpServer::Loop::Connection::read() {
  parser_.emplace();
  parser_->header_limit(static_cast<uint32_t>(loop_.options_.max_header_bytes));
  parser_->body_limit(static_cast<uint64_t>(loop_.options_.max_body_bytes));
  stream_.expires_after(loop_.options_.read_timeout);
  http::async_read(stream_, buffer_, *parser_,
                   [self = shared_from_this()](ErrorCode error, size_t) { self->on_read(error); });
}

void HttpServer::Loop::Connection::on_read(ErrorCode error) {
  if (closed_) return;
  if (error == http::error::body_limit) {
    return refuse(413, str("the body is larger than ", loop_.options_.max_body_bytes, " bytes"));
  }
  if (error == http::error::header_limit) {
    return refuse(431,
                  str("the header is larger than ", loop_.options_.max_header_bytes, " bytes"));
  }
  if (error && error.category() == http::make_error_code(http::error::bad_method).category() &&
      error != http::error::end_of_stream && error != http::error::partial_message) {
    return refuse(400, str("this is no HTTP request: ", error.message()));
  }
  if (error) return close();
  dispatch();
}

// The stream's rest cannot be understood: the answer is the last.
void HttpServer::Loop::Connection::refuse(int status, const std::string& message) {
  busy_ = true;
  ++loop_.busy_;
  answered_ = false;
  ended_ = false;
  keep_alive_ = false;
  send_whole(error_response(ApiError(status, message)));
}

void HttpServer::Loop::Connection::dispatch() {
  busy_ = true;
  ++loop_.busy_;
  ++number_;
  answered_ = false;
  ended_ = false;
  const auto& message = parser_->get();
  keep_alive_ = message.keep_alive() && !loop_.draining_;
  chunked_ = message.version() >= 11;
  HttpRequest request;
  request.method = std::string(message.method_string());
  const std::string target(message.target());
  request.path = target.substr(0, target.find('?'));
  request.authorization = std::string(message[http::field::authorization]);
  request.content_type = std::string(message[http::field::content_type]);
  request.accept_encoding = std::string(message[http::field::accept_encoding]);
  request.if_none_match = std::string(message[http::field::if_none_match]);
  request.body = std::move(parser_->get().body());
  stream_.expires_never();
  watch();
  const ResponderPtr responder =
      std::make_shared<Exchange>(loop_.context_, weak_from_this(), number_);
  try {
    loop_.handler_(request, responder);
  } catch (const ApiError& error) {
    responder->send(error_response(error));
  } catch (const std::exception& error) {
    responder->send(error_response(ApiError(500, error.what())));
  }
}

// While an answer is on its way the client has nothing to say: a readable socket that holds no byte
// is a client that left. One that sends its next request early is not watched any longer; writing
// to it will tell.
void HttpServer::Loop::Connection::watch() {
  stream_.socket().async_wait(tcp::socket::wait_read, [self = shared_from_this()](ErrorCode error) {
    if (error || self->closed_ || !self->busy_) return;
    char byte = 0;
    ErrorCode peek_error;
    self->stream_.socket().non_blocking(true, peek_error);
    const size_t bytes = self->stream_.socket().receive(asio::buffer(&byte, 1),
                                                        tcp::socket::message_peek, peek_error);
    if (peek_error == asio::error::would_block) return self->watch();
    if (peek_error || bytes == 0) self->close();
  });
}

void HttpServer::Loop::Connection::send_whole(HttpResponse response) {
  if (answered_) return;
  answered_ = true;
  ended_ = true;
  enqueue(header_block(response, keep_alive_) +
          str("Content-Length: ", response.body.size(), "\r\n\r\n") + response.body);
}

void HttpServer::Loop::Connection::begin_stream(const std::string& content_type) {
  if (answered_) return;
  answered_ = true;
  streaming_ = true;
  keep_alive_ = keep_alive_ && chunked_;
  HttpResponse head;
  head.content_type = content_type;
  enqueue(header_block(head, keep_alive_) +
          (chunked_ ? "Transfer-Encoding: chunked\r\n\r\n" : "\r\n"));
}

void HttpServer::Loop::Connection::enqueue(std::string bytes) {
  unsent_bytes_ += bytes.size();
  unsent_.push_back(std::move(bytes));
  // A whole answer may be large; only a stream can be paced by its reader.
  if (!ended_ && unsent_bytes_ > static_cast<size_t>(loop_.options_.max_unsent_bytes)) {
    return close();
  }
  if (!writing_) flush();
}

void HttpServer::Loop::Connection::flush() {
  if (unsent_.empty()) {
    if (ended_) finish();
    return;
  }
  writing_ = true;
  stream_.expires_after(loop_.options_.write_timeout);
  asio::async_write(stream_, asio::buffer(unsent_.front()),
                    [self = shared_from_this()](ErrorCode error, size_t) {
                      self->writing_ = false;
                      if (self->closed_) return;
                      if (error) return self->close();
                      self->unsent_bytes_ -= self->unsent_.front().size();
                      self->unsent_.pop_front();
                      self->stream_.expires_never();
                      self->flush();
                    });
}

void HttpServer::Loop::Connection::finish() {
  busy_ = false;
  --loop_.busy_;
  gone_ = nullptr;
  ErrorCode ignored;
  stream_.socket().cancel(ignored);  // the watch
  if (!keep_alive_ || loop_.draining_) return linger();
  read();
}

// Closing with unread bytes would reset the connection, and the client might lose the answer: it
// gets a moment to read it.
void HttpServer::Loop::Connection::linger() {
  ErrorCode ignored;
  stream_.socket().shutdown(tcp::socket::shutdown_send, ignored);
  linger_end_ = std::chrono::steady_clock::now() + kLinger;
  stream_.expires_at(linger_end_);
  discard();
}

void HttpServer::Loop::Connection::discard() {
  stream_.async_read_some(asio::buffer(unread_),
                          [self = shared_from_this()](ErrorCode error, size_t) {
                            if (self->closed_) return;
                            if (error) return self->close();
                            self->stream_.expires_at(self->linger_end_);
                            self->discard();
                          });
}

void HttpServer::Loop::Connection::close() {
  if (closed_) return;
  closed_ = true;
  const auto self = shared_from_this();
  ErrorCode ignored;
  stream_.socket().shutdown(tcp::socket::shutdown_both, ignored);
  stream_.close();
  streaming_ = false;
  const auto gone = std::exchange(gone_, nullptr);
  if (busy_) {
    busy_ = false;
    --loop_.busy_;
    if (gone) gone();
  }
  loop_.connections_.erase(self);
  --loop_.open_;
}

HttpServer::Loop::Loop(const HttpOptions& options, HttpHandler handler)
    : options_(options),
      handler_(std::move(handler)),
      work_(asio::make_work_guard(*context_)),
      acceptor_(*context_),
      accept_pause_(*context_) {
  ErrorCode error;
  const auto address = asio::ip::make_address(options_.host, error);
  if (error) {
    throw UsageError(
        str("host '", options_.host, "' is no address: use 127.0.0.1, ::1 or 0.0.0.0"));
  }
  try {
    const tcp::endpoint endpoint(address, static_cast<uint16_t>(options_.port));
    acceptor_.open(endpoint.protocol());
    acceptor_.set_option(tcp::acceptor::reuse_address(true));
    acceptor_.bind(endpoint);
    acceptor_.listen();
    acceptor_port_ = acceptor_.local_endpoint().port();
  } catch (const boost::system::system_error& failure) {
    throw IoError(str("cannot listen on ", options_.host, " port ", options_.port, ": ",
                      failure.code().message()));
  }
  accept();
  thread_ = std::thread([this] { context_->run(); });
}

HttpServer::Loop::~Loop() {
  draining_ = true;
  asio::post(*context_, [this] {
    ErrorCode ignored;
    acceptor_.close(ignored);
    accept_pause_.cancel();
    const auto open = connections_;
    for (const auto& connection : open) connection->close();
    work_.reset();
  });
  thread_.join();
}

void HttpServer::Loop::accept() {
  acceptor_.async_accept([this](ErrorCode error, tcp::socket socket) {
    if (draining_ || error == asio::error::operation_aborted) return;
    if (!error) {
      accepted(std::move(socket));
      return accept();
    }
    // Out of descriptors, most likely: connections that end will give some back.
    accept_pause_.expires_after(kAcceptPause);
    accept_pause_.async_wait([this](ErrorCode cancelled) {
      if (!cancelled) accept();
    });
  });
}

void HttpServer::Loop::accepted(tcp::socket socket) {
  if (open_ >= options_.max_connections) {
    ++refused_;
    return;  // the socket closes
  }
  ++accepted_;
  ErrorCode ignored;
  socket.set_option(tcp::no_delay(true), ignored);
  std::make_shared<Connection>(*this, std::move(socket))->open();
}

void HttpServer::Loop::drain() {
  if (draining_.exchange(true)) return;
  asio::post(*context_, [this] {
    ErrorCode ignored;
    acceptor_.close(ignored);
    accept_pause_.cancel();
    const auto open = connections_;
    for (const auto& connection : open) connection->close_if_idle();
  });
}

HttpServer::HttpServer(const HttpOptions& options, HttpHandler handler) {
  options.check();
  loop_ = std::make_unique<Loop>(options, std::move(handler));
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
