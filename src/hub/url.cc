#include "hub/url.h"

#include <curl/curl.h>

#include <algorithm>
#include <memory>

#include "base/error.h"

namespace corral::hub {
namespace {

constexpr unsigned kNoFlags = 0;

class Url {
 public:
  explicit Url(const std::string& text) : url_(curl_url(), curl_url_cleanup) {
    if (!url_) throw Error("out of memory");
    is_valid_ = set(text);
  }

  bool is_valid() const { return is_valid_; }
  bool set(const std::string& text) {
    return curl_url_set(url_.get(), CURLUPART_URL, text.c_str(), kNoFlags) == CURLUE_OK;
  }
  std::string part(CURLUPart which, unsigned flags = kNoFlags) const {
    char* text = nullptr;
    if (curl_url_get(url_.get(), which, &text, flags) != CURLUE_OK) return "";
    std::string result = text;
    curl_free(text);
    return result;
  }
  std::string scheme() const { return lower(part(CURLUPART_SCHEME)); }
  std::string host() const { return lower(part(CURLUPART_HOST)); }

 private:
  static std::string lower(std::string text) {
    for (char& c : text) {
      if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    }
    return text;
  }

  std::unique_ptr<CURLU, decltype(&curl_url_cleanup)> url_;
  bool is_valid_;
};

bool is_web(const Url& url) {
  return url.is_valid() && (url.scheme() == "http" || url.scheme() == "https") &&
         !url.host().empty();
}

}  // namespace

std::string origin_of(const std::string& text) {
  const Url url(text);
  if (!is_web(url)) {
    throw UsageError(str("hub: '", for_display(text), "' is no http or https address"));
  }
  if (!url.part(CURLUPART_USER).empty()) {
    throw UsageError("hub: an address must not hold a user name; a token goes into HF_TOKEN");
  }
  return url.scheme() + "://" + url.host() + ":" + url.part(CURLUPART_PORT, CURLU_DEFAULT_PORT);
}

std::string redirect_target(const std::string& from, const std::string& location) {
  Url url(from);
  const bool was_https = url.scheme() == "https";
  if (location.empty() || !url.set(location) || !is_web(url)) {
    throw Error(str(for_display(from), ": redirects to something that is no web address"));
  }
  if (was_https && url.scheme() != "https") {
    throw Error(str(for_display(from), ": redirects from https to http, which is refused"));
  }
  return url.part(CURLUPART_URL);
}

bool is_loopback(const std::string& text) {
  const std::string host = Url(text).host();
  const bool digits = host.find_first_not_of("0123456789.") == host.npos;
  return host == "localhost" || host == "[::1]" || (digits && host.starts_with("127."));
}

bool is_confidential(const std::string& text) {
  return Url(text).scheme() == "https" || is_loopback(text);
}

std::string url_encode(std::string_view text, Slash slash) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '.' || c == '_' || c == '~' ||
                       (c == '/' && slash == Slash::kKeep);
    if (plain) {
      out += c;
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    out += '%';
    out += kHex[byte / 16];
    out += kHex[byte % 16];
  }
  return out;
}

std::string for_display(const std::string& url) { return url.substr(0, url.find_first_of("?#")); }

}  // namespace corral::hub
