#include "hub/http.h"

#include <curl/curl.h>

#include <algorithm>
#include <charconv>
#include <ctime>
#include <exception>
#include <mutex>

#include "hub/hub_errors.h"
#include "hub/url.h"

namespace corral::hub {
namespace {

constexpr int kMaxRedirects = 10;
constexpr size_t kMaxBodyBytes = size_t{64} << 20;
constexpr size_t kMaxHeaders = 200;

bool is_redirect(int64_t status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

CURL* new_handle() {
  static std::once_flag once;
  std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
  CURL* handle = curl_easy_init();
  if (handle == nullptr) throw Error("hub: libcurl cannot be started");
  return handle;
}

std::string trimmed(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t\r\n");
  if (begin == text.npos) return "";
  return std::string(text.substr(begin, text.find_last_not_of(" \t\r\n") + 1 - begin));
}

}  // namespace

std::string HttpResponse::header(const std::string& name) const {
  const auto found = headers.find(name);
  return found == headers.end() ? "" : found->second;
}

std::optional<double> HttpResponse::retry_after_seconds() const {
  const std::string text = header("retry-after");
  int64_t seconds = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (error == std::errc{} && end == text.data() + text.size() && seconds >= 0) {
    return static_cast<double>(seconds);
  }
  const time_t when = text.empty() ? -1 : curl_getdate(text.c_str(), nullptr);
  if (when < 0) return std::nullopt;
  return std::max(0.0, std::difftime(when, time(nullptr)));
}

/// What the callbacks of libcurl work on.
struct HttpClient::Transfer {
  const HttpOptions& options;
  const BodySink& sink;
  CURL* handle;
  HttpResponse response = {};
  bool too_long = false;
  bool refused = false;                  // by the sink
  std::exception_ptr failure = nullptr;  // of the sink: none may pass through libcurl

  bool cancelled() const { return options.cancel != nullptr && options.cancel->load(); }

  static size_t take_header(char* data, size_t, size_t bytes, void* self_pointer) {
    auto& self = *static_cast<Transfer*>(self_pointer);
    const std::string_view line(data, bytes);
    if (line.starts_with("HTTP/")) self.response.headers.clear();  // after "100 Continue"
    const size_t colon = line.find(':');
    if (colon == line.npos || self.response.headers.size() >= kMaxHeaders) return bytes;
    std::string name(line.substr(0, colon));
    for (char& c : name) {
      if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    }
    self.response.headers[name] = trimmed(line.substr(colon + 1));
    return bytes;
  }

  static size_t take_body(char* data, size_t, size_t bytes, void* self_pointer) {
    auto& self = *static_cast<Transfer*>(self_pointer);
    if (self.cancelled()) return 0;
    long status = 0;
    curl_easy_getinfo(self.handle, CURLINFO_RESPONSE_CODE, &status);
    self.response.status = status;
    if (self.sink && (status == 200 || status == 206)) {
      try {
        self.refused = !self.sink(self.response, {data, bytes});
      } catch (...) {
        self.failure = std::current_exception();
      }
      return self.refused || self.failure ? 0 : bytes;
    }
    self.too_long = self.response.body.size() + bytes > kMaxBodyBytes;
    if (self.too_long) return 0;
    self.response.body.append(data, bytes);
    return bytes;
  }

  static int watch(void* self_pointer, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
    return static_cast<Transfer*>(self_pointer)->cancelled() ? 1 : 0;
  }
};

HttpClient::HttpClient(const HttpOptions& options)
    : options_(options), handle_(new_handle(), [](void* handle) { curl_easy_cleanup(handle); }) {}

HttpClient::~HttpClient() = default;

HttpResponse HttpClient::get(const std::string& url, std::optional<ByteRange> range,
                             const BodySink& sink) {
  std::string at = url;
  for (int step = 0; step <= kMaxRedirects; ++step) {
    HttpResponse response = get_once(at, range, sink);
    if (!is_redirect(response.status)) return response;
    at = redirect_target(at, response.header("location"));
  }
  throw Error(str(for_display(url), ": more than ", kMaxRedirects, " redirects"));
}

HttpResponse HttpClient::get_once(const std::string& url, std::optional<ByteRange> range,
                                  const BodySink& sink) {
  CURL* handle = handle_.get();
  curl_easy_reset(handle);
  Transfer transfer{.options = options_, .sink = sink, .handle = handle};
  transfer.response.url = url;
  char message[CURL_ERROR_SIZE] = "";
  std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)> headers(nullptr, curl_slist_free_all);
  // The token goes to the hub alone, also when the hub redirects elsewhere.
  if (!options_.token.empty() && is_confidential(url) && origin_of(url) == options_.token_origin) {
    const std::string line = "Authorization: Bearer " + options_.token;
    headers.reset(curl_slist_append(nullptr, line.c_str()));
  }
  const auto milliseconds = [](double seconds) { return static_cast<long>(seconds * 1000); };
  curl_easy_setopt(handle, CURLOPT_URL, url.c_str());
  curl_easy_setopt(handle, CURLOPT_HTTPHEADER, headers.get());
  curl_easy_setopt(handle, CURLOPT_USERAGENT, "corral");
  curl_easy_setopt(handle, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(handle, CURLOPT_ERRORBUFFER, message);
  curl_easy_setopt(handle, CURLOPT_CONNECTTIMEOUT_MS, milliseconds(options_.connect_seconds));
  curl_easy_setopt(handle, CURLOPT_LOW_SPEED_LIMIT, 1L);
  curl_easy_setopt(handle, CURLOPT_LOW_SPEED_TIME,
                   std::max(1L, static_cast<long>(options_.stall_seconds)));
  curl_easy_setopt(handle, CURLOPT_HEADERFUNCTION, &Transfer::take_header);
  curl_easy_setopt(handle, CURLOPT_HEADERDATA, &transfer);
  curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, &Transfer::take_body);
  curl_easy_setopt(handle, CURLOPT_WRITEDATA, &transfer);
  curl_easy_setopt(handle, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(handle, CURLOPT_XFERINFOFUNCTION, &Transfer::watch);
  curl_easy_setopt(handle, CURLOPT_XFERINFODATA, &transfer);
  if (is_loopback(url)) curl_easy_setopt(handle, CURLOPT_PROXY, "");
  const std::string bytes = range ? str(range->first, "-", range->last) : "";
  if (range) curl_easy_setopt(handle, CURLOPT_RANGE, bytes.c_str());

  const CURLcode code = curl_easy_perform(handle);
  if (transfer.failure) std::rethrow_exception(transfer.failure);
  if (transfer.cancelled()) throw Cancelled("stopped");
  if (transfer.too_long) throw Error(str(for_display(url), ": the answer is too long"));
  if (transfer.refused) return std::move(transfer.response);
  if (code != CURLE_OK) {
    throw TransferError(
        str(for_display(url), ": ", message[0] != '\0' ? message : curl_easy_strerror(code)));
  }
  long status = 0;
  curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &status);
  transfer.response.status = status;
  return std::move(transfer.response);
}

}  // namespace corral::hub
