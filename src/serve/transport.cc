#include "serve/transport.h"

#include <boost/asio.hpp>
#include <boost/asio/ssl.hpp>
#include <utility>

#include "base/error.h"

namespace corral::serve {
namespace {

namespace asio = boost::asio;
namespace ssl = boost::asio::ssl;
using asio::ip::tcp;

void close_socket(tcp::socket& socket) {
  Transport::ErrorCode ignored;
  socket.shutdown(tcp::socket::shutdown_both, ignored);
  socket.close(ignored);
}

class Plain : public Transport {
 public:
  explicit Plain(tcp::socket socket) : socket_(std::move(socket)) {}

  void open(std::function<void(ErrorCode)> done) override { done({}); }
  void read(asio::mutable_buffer to, Done done) override {
    socket_.async_read_some(to, std::move(done));
  }
  void write(std::string_view bytes, Done done) override {
    asio::async_write(socket_, asio::buffer(bytes), std::move(done));
  }
  void end_of_writing(std::shared_ptr<void>) override {
    ErrorCode ignored;
    socket_.shutdown(tcp::socket::shutdown_send, ignored);
  }
  void close() override { close_socket(socket_); }

 private:
  tcp::socket socket_;
};

class Tls : public Transport {
 public:
  Tls(tcp::socket socket, ssl::context& context) : stream_(std::move(socket), context) {}

  void open(std::function<void(ErrorCode)> done) override {
    stream_.async_handshake(ssl::stream_base::server, std::move(done));
  }
  void read(asio::mutable_buffer to, Done done) override {
    stream_.async_read_some(to, std::move(done));
  }
  void write(std::string_view bytes, Done done) override {
    asio::async_write(stream_, asio::buffer(bytes), std::move(done));
  }
  void end_of_writing(std::shared_ptr<void> owner) override {
    stream_.async_shutdown([owner = std::move(owner)](ErrorCode) {});
  }
  void close() override { close_socket(stream_.next_layer()); }

 private:
  ssl::stream<tcp::socket> stream_;
};

class PlainFactory : public TransportFactory {
 public:
  std::unique_ptr<Transport> make(tcp::socket socket) override {
    return std::make_unique<Plain>(std::move(socket));
  }
};

class TlsFactory : public TransportFactory {
 public:
  TlsFactory(const std::string& certificate, const std::string& key)
      : context_(ssl::context::tls_server) {
    Transport::ErrorCode error;
    context_.set_options(ssl::context::default_workarounds | ssl::context::no_sslv2 |
                         ssl::context::no_sslv3 | ssl::context::no_tlsv1 |
                         ssl::context::no_tlsv1_1 | ssl::context::single_dh_use);
    SSL_CTX_set_options(context_.native_handle(), SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    // Of TLS 1.2 only what keeps past connections secret when the key is lost.
    SSL_CTX_set_cipher_list(context_.native_handle(), "ECDHE+AESGCM:ECDHE+CHACHA20");
    context_.use_certificate_chain_file(certificate, error);
    if (error) throw IoError(str(certificate, ": no certificate chain: ", error.message()));
    context_.use_private_key_file(key, ssl::context::pem, error);
    if (error) throw IoError(str(key, ": no key of ", certificate, ": ", error.message()));
  }
  std::unique_ptr<Transport> make(tcp::socket socket) override {
    return std::make_unique<Tls>(std::move(socket), context_);
  }

 private:
  ssl::context context_;
};

}  // namespace

std::unique_ptr<TransportFactory> plain_transports() { return std::make_unique<PlainFactory>(); }

std::unique_ptr<TransportFactory> tls_transports(const std::string& certificate,
                                                 const std::string& key) {
  return std::make_unique<TlsFactory>(certificate, key);
}

}  // namespace corral::serve
