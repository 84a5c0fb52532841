#pragma once

#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/system/error_code.hpp>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace corral::serve {

/// The bytes of one connection, plain or through TLS. At most one read and one write at the same
/// time. Callbacks come on the loop's thread; whoever waits for one keeps the transport alive.
class Transport {
 public:
  using ErrorCode = boost::system::error_code;
  using Done = std::function<void(ErrorCode, size_t bytes)>;

  virtual ~Transport() = default;
  /// Before everything else.
  virtual void open(std::function<void(ErrorCode)> done) = 0;
  /// Some bytes.
  virtual void read(boost::asio::mutable_buffer to, Done done) = 0;
  /// All of them; they must stay until done.
  virtual void write(std::string_view bytes, Done done) = 0;
  /// Tells the other side that no more comes. owner: kept until it knows.
  virtual void end_of_writing(std::shared_ptr<void> owner) = 0;
  virtual void close() = 0;
};

/// Makes the transports of a server's connections.
class TransportFactory {
 public:
  virtual ~TransportFactory() = default;
  virtual std::unique_ptr<Transport> make(boost::asio::ip::tcp::socket socket) = 0;
};

std::unique_ptr<TransportFactory> plain_transports();
/// TLS 1.2 and 1.3 with this certificate chain and key (PEM files). Throws IoError naming the file.
std::unique_ptr<TransportFactory> tls_transports(const std::string& certificate,
                                                 const std::string& key);

}  // namespace corral::serve
