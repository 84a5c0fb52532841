#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace corral::serve::test {

/// A connection to a server on the loopback address, as plain as can be.
class RawClient {
 public:
  explicit RawClient(int port) : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
      throw std::runtime_error("cannot connect");
    }
  }
  ~RawClient() { close(); }
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;

  void close() {
    if (socket_ >= 0) ::close(socket_);
    socket_ = -1;
  }
  void send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return;  // the server has closed: what it said is still to be read
      bytes.remove_prefix(static_cast<size_t>(sent));
    }
  }
  /// Reads on; false at the end.
  bool read_more() {
    char part[4096];
    const ssize_t got = ::recv(socket_, part, sizeof part, 0);
    if (got > 0) text.append(part, static_cast<size_t>(got));
    return got > 0;
  }
  bool read_until(std::string_view mark) {
    while (text.find(mark) == text.npos) {
      if (!read_more()) return false;
    }
    return true;
  }
  void read_all() {
    while (read_more()) {
    }
  }

  std::string text;  // all that came

 private:
  int socket_;
};

struct Reply {
  int status = 0;
  std::string head;
  std::string body;
  nlohmann::json json() const { return nlohmann::json::parse(body); }
  /// The payloads of an event stream.
  std::vector<std::string> events() const {
    std::vector<std::string> result;
    for (size_t at = body.find("data: "); at != body.npos; at = body.find("data: ", at)) {
      const size_t end = body.find("\n\n", at);
      result.push_back(body.substr(at + 6, end - at - 6));
      at = end;
    }
    return result;
  }
};

inline std::string dechunk(std::string_view text) {
  std::string body;
  while (!text.empty()) {
    const size_t line = text.find("\r\n");
    if (line == text.npos) break;
    const auto bytes =
        static_cast<size_t>(std::strtoull(std::string(text.substr(0, line)).c_str(), nullptr, 16));
    if (bytes == 0) break;
    body += text.substr(line + 2, bytes);
    text.remove_prefix(line + 2 + bytes + 2);
  }
  return body;
}

inline Reply parse_reply(const std::string& text) {
  Reply reply;
  const size_t end = text.find("\r\n\r\n");
  if (end == text.npos) return reply;
  reply.head = text.substr(0, end + 2);
  reply.status = std::atoi(text.substr(9, 3).c_str());
  reply.body = text.substr(end + 4);
  if (reply.head.find("chunked") != reply.head.npos) reply.body = dechunk(reply.body);
  return reply;
}

inline std::string request_text(const std::string& method, const std::string& path,
                                const std::string& body, const std::string& headers = "") {
  std::string text = method + " " + path + " HTTP/1.1\r\nHost: localhost\r\n" + headers;
  if (!body.empty() || method == "POST") {
    text +=
        "Content-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) + "\r\n";
  }
  return text + "\r\n" + body;
}

/// One request on a connection of its own.
inline Reply ask(int port, const std::string& method, const std::string& path,
                 const std::string& body = "", const std::string& headers = "") {
  RawClient client(port);
  client.send(request_text(method, path, body, "Connection: close\r\n" + headers));
  client.read_all();
  return parse_reply(client.text);
}

}  // namespace corral::serve::test
