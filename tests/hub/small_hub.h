#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "base/error.h"

namespace corral::test {

/// One request as the server saw it.
struct HubRequest {
  std::string path;  // with query
  std::string range;
  std::string authorization;
};

/// What the server answers.
struct HubReply {
  int status = 200;
  std::string body = {};
  std::vector<std::string> headers = {};  // "Name: value"
  int64_t cut_after = -1;                 // closes the connection after so many bytes of the body
  int64_t claimed_bytes = -1;             // Content-Length, where it is a lie
  bool stall = false;                     // never sends the body
};

/// An HTTP server on a free port of 127.0.0.1 that answers with what a function says.
class LoopbackServer {
 public:
  using Handler = std::function<HubReply(const HubRequest&)>;

  explicit LoopbackServer(Handler handler) : handler_(std::move(handler)) {
    socket_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    auto* any = reinterpret_cast<sockaddr*>(&address);
    if (::bind(socket_, any, size) != 0 || ::listen(socket_, 64) != 0 ||
        ::getsockname(socket_, any, &size) != 0) {
      throw IoError("no loopback server for a test");
    }
    port_ = ntohs(address.sin_port);
    accepting_ = std::thread([this] { accept_all(); });
  }
  ~LoopbackServer() {
    stop_ = true;
    accepting_.join();
    for (std::thread& thread : serving_) thread.join();
    ::close(socket_);
  }
  LoopbackServer(const LoopbackServer&) = delete;
  LoopbackServer& operator=(const LoopbackServer&) = delete;

  std::string url() const { return str("http://127.0.0.1:", port_); }
  /// The same server by another name: another host to a client.
  std::string other_url() const { return str("http://localhost:", port_); }

  std::vector<HubRequest> requests() const {
    const std::lock_guard lock(mutex_);
    return requests_;
  }

 private:
  bool wait_for(int descriptor) const {
    pollfd waiting{descriptor, POLLIN, 0};
    while (!stop_) {
      if (::poll(&waiting, 1, 20) > 0) return true;
    }
    return false;
  }

  void accept_all() {
    while (wait_for(socket_)) {
      const int connection = ::accept4(socket_, nullptr, nullptr, SOCK_CLOEXEC);
      if (connection >= 0) serving_.emplace_back([this, connection] { serve(connection); });
    }
  }

  void serve(int connection) {
    std::string text;
    char buffer[4096];
    while (text.find("\r\n\r\n") == text.npos && wait_for(connection)) {
      const ssize_t got = ::recv(connection, buffer, sizeof(buffer), 0);
      if (got <= 0) break;
      text.append(buffer, static_cast<size_t>(got));
    }
    if (text.find("\r\n\r\n") != text.npos) answer(connection, parse(text));
    ::close(connection);
  }

  static std::string field(const std::string& text, const std::string& name) {
    const size_t at = text.find("\r\n" + name + ": ");
    if (at == text.npos) return "";
    const size_t begin = at + name.size() + 4;
    return text.substr(begin, text.find("\r\n", begin) - begin);
  }

  static HubRequest parse(const std::string& text) {
    const size_t begin = text.find(' ') + 1;
    return {text.substr(begin, text.find(' ', begin) - begin), field(text, "Range"),
            field(text, "Authorization")};
  }

  void answer(int connection, const HubRequest& request) {
    {
      const std::lock_guard lock(mutex_);
      requests_.push_back(request);
    }
    const HubReply reply = handler_(request);
    const int64_t bytes = static_cast<int64_t>(reply.body.size());
    std::string out = str("HTTP/1.1 ", reply.status, " X\r\nConnection: close\r\nContent-Length: ",
                          reply.claimed_bytes >= 0 ? reply.claimed_bytes : bytes, "\r\n");
    for (const std::string& header : reply.headers) out += header + "\r\n";
    out += "\r\n";
    if (!reply.stall) {
      out += reply.body.substr(
          0, reply.cut_after >= 0 ? static_cast<size_t>(reply.cut_after) : reply.body.size());
    }
    for (size_t at = 0; at < out.size();) {
      const ssize_t put = ::send(connection, out.data() + at, out.size() - at, MSG_NOSIGNAL);
      if (put <= 0) return;
      at += static_cast<size_t>(put);
    }
    // Until the client gives up.
    if (reply.stall && wait_for(connection)) ::recv(connection, out.data(), 1, 0);
  }

  Handler handler_;
  int socket_ = -1;
  int port_ = 0;
  std::atomic<bool> stop_ = false;
  std::thread accepting_;
  std::vector<std::thread> serving_;
  mutable std::mutex mutex_;
  std::vector<HubRequest> requests_;
};

/// Hexadecimal hash of a text.
inline std::string hash_of(const std::string& text, const EVP_MD* kind) {
  unsigned char value[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  EVP_Digest(text.data(), text.size(), value, &size, kind, nullptr);
  std::string out;
  for (unsigned i = 0; i < size; ++i) {
    out += "0123456789abcdef"[value[i] / 16];
    out += "0123456789abcdef"[value[i] % 16];
  }
  return out;
}

/// A hub with one repository, "org/model", in Hugging Face's form. `before` may answer first.
class SmallHub {
 public:
  using Before = std::function<std::optional<HubReply>(const HubRequest&)>;

  explicit SmallHub(std::map<std::string, std::string> files, Before before = nullptr)
      : files_(std::move(files)),
        before_(std::move(before)),
        server_([this](const HubRequest& request) { return answer(request); }) {}

  static constexpr const char* kCommit = "0123456789abcdef0123456789abcdef01234567";

  LoopbackServer& server() { return server_; }
  std::string url() const { return server_.url(); }
  /// How many requests were for the content of files.
  int64_t downloads() const {
    int64_t count = 0;
    for (const HubRequest& request : server_.requests()) {
      count += request.path.find("/resolve/") != request.path.npos ? 1 : 0;
    }
    return count;
  }

  /// The entry of a file in the hub's list. Large ones go by SHA-256.
  static nlohmann::json entry(const std::string& path, const std::string& content) {
    const std::string blob = str("blob ", content.size()) + '\0' + content;
    nlohmann::json json = {{"type", "file"},
                           {"path", path},
                           {"size", content.size()},
                           {"oid", hash_of(blob, EVP_sha1())}};
    if (content.size() > 1000) {
      json["lfs"] = {{"oid", hash_of(content, EVP_sha256())}, {"size", content.size()}};
    }
    return json;
  }

  /// A file, or the range of it that was asked for.
  static HubReply content_reply(const std::string& content, const std::string& range) {
    long long first = 0;
    long long last = 0;
    if (std::sscanf(range.c_str(), "bytes=%lld-%lld", &first, &last) != 2) return {.body = content};
    return {
        .status = 206,
        .body = content.substr(static_cast<size_t>(first), static_cast<size_t>(last - first + 1)),
        .headers = {str("Content-Range: bytes ", first, "-", last, "/", content.size())}};
  }

  HubReply answer(const HubRequest& request) const {
    if (before_) {
      if (auto reply = before_(request)) return *reply;
    }
    const std::string& path = request.path;
    if (path == "/api/models/org/model/revision/main") {
      return {.body = nlohmann::json{{"sha", kCommit}}.dump()};
    }
    if (path == str("/api/models/org/model/tree/", kCommit, "?recursive=true")) {
      nlohmann::json list = nlohmann::json::array();
      list.push_back({{"type", "directory"}, {"path", "sub"}});
      for (const auto& [name, content] : files_) list.push_back(entry(name, content));
      return {.body = list.dump()};
    }
    const std::string resolve = str("/org/model/resolve/", kCommit, "/");
    if (path.starts_with(resolve)) {
      const auto file = files_.find(path.substr(resolve.size()));
      if (file != files_.end()) return content_reply(file->second, request.range);
    }
    return {.status = 404};
  }

 private:
  std::map<std::string, std::string> files_;
  Before before_;
  LoopbackServer server_;
};

}  // namespace corral::test
