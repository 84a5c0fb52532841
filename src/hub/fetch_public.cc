#include "hub/fetch_public.h"

#include <curl/curl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memory>
#include <mutex>

#include "base/error.h"
#include "hub/public_address.h"
#include "hub/url.h"

namespace corral::hub {
namespace {

/// What the callbacks of libcurl work on.
struct Fetch {
  const FetchOptions& options;
  std::string body = {};
  bool refused = false;
  bool too_long = false;

  static size_t take(char* data, size_t, size_t bytes, void* self_pointer) {
    auto& self = *static_cast<Fetch*>(self_pointer);
    self.too_long = self.body.size() + bytes > static_cast<size_t>(self.options.max_bytes);
    if (self.too_long) return 0;
    self.body.append(data, bytes);
    return bytes;
  }

  // Opens the socket for exactly the address that is judged.
  static curl_socket_t open(void* self_pointer, curlsocktype, curl_sockaddr* address) {
    auto& self = *static_cast<Fetch*>(self_pointer);
    const sockaddr& target = address->addr;
    const bool allowed =
        self.options.allowed ? self.options.allowed(target) : is_public_address(target);
    if (!allowed) {
      self.refused = true;
      return CURL_SOCKET_BAD;
    }
    return ::socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
  }
};

}  // namespace

std::string fetch_public(const std::string& url, const FetchOptions& options) {
  origin_of(url);  // http or https, a host, no user name
  static std::once_flag once;
  std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
  const std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> handle(curl_easy_init(),
                                                                   curl_easy_cleanup);
  if (handle == nullptr) throw Error("libcurl cannot be started");
  Fetch fetch{.options = options};
  char message[CURL_ERROR_SIZE] = "";
  CURL* curl = handle.get();
  const auto milliseconds = static_cast<long>(options.seconds * 1000);
  curl_easy_setopt(curl, CURLOPT_URL, url.c_str());
  curl_easy_setopt(curl, CURLOPT_USERAGENT, "corral");
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, options.max_redirects > 0 ? 1L : 0L);
  curl_easy_setopt(curl, CURLOPT_MAXREDIRS, static_cast<long>(options.max_redirects));
  curl_easy_setopt(curl, CURLOPT_PROXY, "");
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, message);
  curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, milliseconds);
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, milliseconds);
  curl_easy_setopt(curl, CURLOPT_MAXFILESIZE_LARGE, static_cast<curl_off_t>(options.max_bytes));
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, &Fetch::take);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &fetch);
  curl_easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, &Fetch::open);
  curl_easy_setopt(curl, CURLOPT_OPENSOCKETDATA, &fetch);
  const CURLcode result = curl_easy_perform(curl);
  const std::string shown = for_display(url);
  if (fetch.refused) throw Error(str(shown, ": its address is not one of the public internet"));
  if (fetch.too_long || result == CURLE_FILESIZE_EXCEEDED) {
    throw Error(str(shown, ": larger than ", options.max_bytes, " bytes"));
  }
  if (result != CURLE_OK) {
    throw Error(str(shown, ": ", *message != '\0' ? message : curl_easy_strerror(result)));
  }
  long status = 0;
  curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
  if (status != 200) throw Error(str(shown, ": answered with status ", status));
  return std::move(fetch.body);
}

}  // namespace corral::hub
