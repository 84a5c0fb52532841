#pragma once

// One client of an HttpServer, on the loop's thread. Part of http_server.cc; included by nobody
// else.

#include <algorithm>
#include <array>
#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "serve/http_server.h"
#include "serve/transport.h"

namespace corral::serve {

class HttpConnection;

/// What the connections of a server share: all of it belongs to the loop's thread, except what is
/// atomic.
struct HttpShared {
  HttpOptions options;
  HttpHandlers handlers;
  std::shared_ptr<boost::asio::io_context> context;
  std::atomic<bool> draining{false};
  std::atomic<int64_t> open{0};
  std::atomic<int64_t> busy{0};  // connections with a request that is not answered whole
  int64_t bodies_bytes = 0;      // of requests that are not answered
  std::set<std::shared_ptr<HttpConnection>> connections = {};  // those that are not closed
};

/// A body that grows as its bytes come: what a header promises takes no memory.
struct GrowingBody {
  using value_type = std::string;
  class reader {
   public:
    template <bool is_request, class Fields>
    reader(boost::beast::http::header<is_request, Fields>&, value_type& body) : body_(body) {}
    void init(const boost::optional<uint64_t>&, boost::system::error_code& error) { error = {}; }
    template <class Buffers>
    size_t put(const Buffers& buffers, boost::system::error_code& error) {
      error = {};
      const size_t before = body_.size();
      for (const auto part : boost::beast::buffers_range_ref(buffers)) {
        body_.append(static_cast<const char*>(part.data()), part.size());
      }
      return body_.size() - before;
    }
    void finish(boost::system::error_code& error) { error = {}; }

   private:
    value_type& body_;
  };
};

class HttpConnection : public std::enable_shared_from_this<HttpConnection> {
 public:
  HttpConnection(HttpShared& shared, std::unique_ptr<Transport> transport);

  void open();
  void close();
  void close_if_idle() {
    if (!busy_) close();
  }

  // What a Responder asks for, about the request of this number.
  bool answers(int64_t number) const { return !closed_ && busy_ && !ended_ && number == number_; }
  void send_whole(HttpResponse response);
  void begin_stream(const std::string& content_type);
  void write(std::string bytes);
  void end_stream();
  void set_gone(std::function<void()> callback) { gone_ = std::move(callback); }

 private:
  using ErrorCode = boost::system::error_code;
  using Timer = boost::asio::steady_timer;

  void begin_request();
  void read_more();
  void on_bytes(ErrorCode error, size_t bytes);
  void parse();
  bool on_header();
  bool count_body();
  void refuse(int status, const std::string& message);
  void answer_early(HttpResponse response, bool keep_alive);
  HttpRequest head() const;
  void dispatch();
  void begin_answer();
  std::string header_block(const HttpResponse& response) const;
  void enqueue(std::string bytes);
  void flush();
  void finish();
  void linger();
  void arm(Timer& timer, std::chrono::steady_clock::duration after);

  HttpShared& shared_;
  std::unique_ptr<Transport> transport_;
  Timer read_timer_;
  Timer write_timer_;
  boost::beast::flat_buffer buffer_;  // what came and is not parsed
  std::optional<boost::beast::http::request_parser<GrowingBody>> parser_;
  std::string origin_;  // of the request
  std::deque<std::string> unsent_;
  size_t unsent_bytes_ = 0;
  int64_t body_bytes_ = 0;  // counted in shared_
  int64_t number_ = 0;      // of the request
  bool header_seen_ = false;
  bool is_head_ = false;    // the request wants no body
  bool busy_ = false;       // a request is being answered
  bool answered_ = false;   // its header is on the way
  bool streaming_ = false;  // write() may follow
  bool ended_ = false;      // all of the answer is in unsent_
  bool chunked_ = true;
  bool keep_alive_ = true;
  bool reading_ = false;
  bool writing_ = false;
  bool lingering_ = false;
  bool closed_ = false;
  std::function<void()> gone_;
  std::array<char, 8192> incoming_{};
};

}  // namespace corral::serve
