#include "serve/http_connection.h"

#include <boost/asio/post.hpp>
#include <sstream>
#include <utility>

#include "base/error.h"
#include "serve/api_error.h"

namespace corral::serve {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using std::chrono::steady_clock;

constexpr auto kLinger = std::chrono::seconds(2);
// A client may send its next requests early, but not without end.
constexpr size_t kMostPipelined = size_t{64} << 10;

std::string chunk(const std::string& bytes) {
  std::ostringstream out;
  out << std::hex << bytes.size() << "\r\n" << bytes << "\r\n";
  return out.str();
}

/// The answer to one request. Outlives its connection, and the server, in whoever holds it.
class Exchange : public Responder {
 public:
  Exchange(std::shared_ptr<asio::io_context> context, std::weak_ptr<HttpConnection> connection,
           int64_t number)
      : context_(std::move(context)), connection_(std::move(connection)), number_(number) {}

  void send(HttpResponse response) override {
    post([response = std::move(response)](HttpConnection& c) mutable {
      c.send_whole(std::move(response));
    });
  }
  void start_stream(std::string_view content_type) override {
    post([type = std::string(content_type)](HttpConnection& c) { c.begin_stream(type); });
  }
  void write(std::string bytes) override {
    post([bytes = std::move(bytes)](HttpConnection& c) mutable { c.write(std::move(bytes)); });
  }
  void end() override {
    post([](HttpConnection& c) { c.end_stream(); });
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
  std::weak_ptr<HttpConnection> connection_;
  int64_t number_;
};

}  // namespace

HttpConnection::HttpConnection(HttpShared& shared, std::unique_ptr<Transport> transport)
    : shared_(shared),
      transport_(std::move(transport)),
      read_timer_(*shared.context),
      write_timer_(*shared.context) {}

void HttpConnection::open() {
  shared_.connections.insert(shared_from_this());
  ++shared_.open;
  arm(read_timer_, shared_.options.read_timeout);
  transport_->open([self = shared_from_this()](ErrorCode error) {
    if (self->closed_) return;
    if (error) return self->close();
    self->begin_request();
  });
}

// Closes the connection unless the timer is armed again or cancelled before.
void HttpConnection::arm(Timer& timer, steady_clock::duration after) {
  timer.expires_after(after);
  timer.async_wait([self = shared_from_this(), &timer](ErrorCode cancelled) {
    // It may have been armed again when this was on its way already.
    if (!cancelled && timer.expiry() <= steady_clock::now()) self->close();
  });
}

void HttpConnection::begin_request() {
  parser_.emplace();
  parser_->header_limit(static_cast<uint32_t>(shared_.options.max_header_bytes));
  parser_->body_limit(static_cast<uint64_t>(shared_.options.max_body_bytes));
  header_seen_ = false;
  origin_.clear();
  arm(read_timer_, shared_.options.read_timeout);
  parse();
  read_more();
}

// Reads on also while an answer is on its way: that is how a client's leaving is noticed.
void HttpConnection::read_more() {
  if (reading_ || closed_ || (busy_ && buffer_.size() >= kMostPipelined)) return;
  reading_ = true;
  transport_->read(asio::buffer(incoming_),
                   [self = shared_from_this()](ErrorCode error, size_t bytes) {
                     self->reading_ = false;
                     self->on_bytes(error, bytes);
                   });
}

void HttpConnection::on_bytes(ErrorCode error, size_t bytes) {
  if (closed_) return;
  if (error) return close();
  if (!lingering_) {
    const auto room = buffer_.prepare(bytes);
    std::copy_n(incoming_.data(), bytes, static_cast<char*>(room.data()));
    buffer_.commit(bytes);
    parse();
  }
  read_more();
}

void HttpConnection::parse() {
  while (!busy_ && !closed_ && buffer_.size() > 0) {
    ErrorCode error;
    const size_t used = parser_->put(buffer_.data(), error);
    buffer_.consume(used);
    if (error == http::error::body_limit) {
      return refuse(413, str("the body is larger than ", shared_.options.max_body_bytes, " bytes"));
    }
    if (error == http::error::header_limit) {
      return refuse(431,
                    str("the header is larger than ", shared_.options.max_header_bytes, " bytes"));
    }
    if (error && error != http::error::need_more) {
      return refuse(400, str("this is no HTTP request: ", error.message()));
    }
    if (parser_->is_header_done() && !header_seen_ && !on_header()) return;
    if (!count_body()) return;
    if (parser_->is_done()) return dispatch();
    if (used == 0) return;
  }
}

// False when the request has its answer already.
bool HttpConnection::on_header() {
  header_seen_ = true;
  const auto& message = parser_->get();
  origin_ = std::string(message[http::field::origin]);
  const bool has_body = !parser_->is_done() &&
                        (parser_->chunked() || parser_->content_length_remaining().value_or(0) > 0);
  if (shared_.handlers.admit) {
    if (auto response = shared_.handlers.admit(head())) {
      answer_early(std::move(*response), !has_body && message.keep_alive());
      return false;
    }
  }
  if (has_body && message[http::field::expect] == "100-continue") {
    enqueue("HTTP/1.1 100 Continue\r\n\r\n");
  }
  return !closed_;
}

// False when all bodies together are too large.
bool HttpConnection::count_body() {
  const auto bytes = static_cast<int64_t>(parser_->get().body().size());
  shared_.bodies_bytes += bytes - body_bytes_;
  body_bytes_ = bytes;
  if (shared_.bodies_bytes <= shared_.options.max_bodies_bytes) return true;
  refuse(503, "too many large requests at the same time: try again");
  return false;
}

// The rest of what comes cannot be understood: the answer is the last.
void HttpConnection::refuse(int status, const std::string& message) {
  answer_early(error_response(ApiError(status, message)), false);
}

void HttpConnection::answer_early(HttpResponse response, bool keep_alive) {
  begin_answer();
  keep_alive_ = keep_alive && !shared_.draining;
  send_whole(std::move(response));
}

HttpRequest HttpConnection::head() const {
  const auto& message = parser_->get();
  const auto text = [&](http::field field) { return std::string(message[field]); };
  HttpRequest request;
  request.method = std::string(message.method_string());
  const std::string target(message.target());
  const size_t mark = target.find('?');
  request.path = target.substr(0, mark);
  if (mark != target.npos) request.query = target.substr(mark + 1);
  request.host = text(http::field::host);
  request.origin = text(http::field::origin);
  request.authorization = text(http::field::authorization);
  request.api_key = std::string(message["x-api-key"]);
  request.content_type = text(http::field::content_type);
  request.accept_encoding = text(http::field::accept_encoding);
  request.if_none_match = text(http::field::if_none_match);
  return request;
}

void HttpConnection::begin_answer() {
  busy_ = true;
  ++shared_.busy;
  ++number_;
  answered_ = false;
  ended_ = false;
  is_head_ = parser_->is_header_done() && parser_->get().method() == http::verb::head;
  read_timer_.cancel();
}

void HttpConnection::dispatch() {
  begin_answer();
  const auto& message = parser_->get();
  keep_alive_ = message.keep_alive() && !shared_.draining;
  chunked_ = message.version() >= 11;
  HttpRequest request = head();
  request.body = std::move(parser_->get().body());
  const ResponderPtr responder =
      std::make_shared<Exchange>(shared_.context, weak_from_this(), number_);
  try {
    shared_.handlers.handle(std::move(request), responder);
  } catch (const ApiError& error) {
    responder->send(error_response(error));
  } catch (const std::exception& error) {
    responder->send(error_response(ApiError(500, error.what())));
  }
}

std::string HttpConnection::header_block(const HttpResponse& response) const {
  std::string text = str("HTTP/1.1 ", response.status, " ", status_text(response.status),
                         "\r\nContent-Type: ", response.content_type, "\r\n");
  bool cached = false;
  for (const auto& [name, value] : response.headers) {
    text += str(name, ": ", value, "\r\n");
    cached = cached || name == "Cache-Control";
  }
  text += "X-Content-Type-Options: nosniff\r\n";
  if (!cached) text += "Cache-Control: no-store\r\n";
  if (!origin_.empty() && shared_.options.shares_with(origin_)) {
    text += str("Access-Control-Allow-Origin: ", origin_, "\r\nVary: Origin\r\n");
  }
  if (!keep_alive_) text += "Connection: close\r\n";
  return text;
}

void HttpConnection::send_whole(HttpResponse response) {
  if (answered_) return;
  answered_ = true;
  ended_ = true;
  std::string bytes =
      header_block(response) + str("Content-Length: ", response.body.size(), "\r\n\r\n");
  if (!is_head_) bytes += response.body;
  enqueue(std::move(bytes));
}

void HttpConnection::begin_stream(const std::string& content_type) {
  if (answered_) return;
  answered_ = true;
  streaming_ = true;
  keep_alive_ = keep_alive_ && chunked_;
  HttpResponse response;
  response.content_type = content_type;
  enqueue(header_block(response) + (chunked_ ? "Transfer-Encoding: chunked\r\n\r\n" : "\r\n"));
}

void HttpConnection::write(std::string bytes) {
  if (streaming_ && !bytes.empty()) enqueue(chunked_ ? chunk(bytes) : std::move(bytes));
}

void HttpConnection::end_stream() {
  if (!streaming_) return;
  streaming_ = false;
  ended_ = true;
  enqueue(chunked_ ? "0\r\n\r\n" : "");
}

void HttpConnection::enqueue(std::string bytes) {
  unsent_bytes_ += bytes.size();
  unsent_.push_back(std::move(bytes));
  // A whole answer may be large; only a stream can be paced by its reader.
  if (!ended_ && unsent_bytes_ > static_cast<size_t>(shared_.options.max_unsent_bytes)) {
    return close();
  }
  if (!writing_) flush();
}

void HttpConnection::flush() {
  if (unsent_.empty()) {
    if (busy_ && ended_) finish();
    return;
  }
  writing_ = true;
  arm(write_timer_, shared_.options.write_timeout);
  transport_->write(unsent_.front(), [self = shared_from_this()](ErrorCode error, size_t) {
    self->writing_ = false;
    self->write_timer_.cancel();
    if (self->closed_) return;
    if (error) return self->close();
    self->unsent_bytes_ -= self->unsent_.front().size();
    self->unsent_.pop_front();
    self->flush();
  });
}

void HttpConnection::finish() {
  busy_ = false;
  --shared_.busy;
  shared_.bodies_bytes -= std::exchange(body_bytes_, 0);
  gone_ = nullptr;
  if (!keep_alive_ || shared_.draining) return linger();
  begin_request();
}

// Closing with unread bytes would reset the connection, and the client might lose the answer: it
// gets a moment to read it.
void HttpConnection::linger() {
  lingering_ = true;
  buffer_.clear();
  transport_->end_of_writing(shared_from_this());
  arm(read_timer_, kLinger);
  read_more();
}

void HttpConnection::close() {
  if (closed_) return;
  closed_ = true;
  const auto self = shared_from_this();
  read_timer_.cancel();
  write_timer_.cancel();
  transport_->close();
  streaming_ = false;
  shared_.bodies_bytes -= std::exchange(body_bytes_, 0);
  const auto gone = std::exchange(gone_, nullptr);
  if (busy_) {
    busy_ = false;
    --shared_.busy;
    if (gone) gone();
  }
  shared_.connections.erase(self);
  --shared_.open;
}

}  // namespace corral::serve
