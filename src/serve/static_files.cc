#include "serve/static_files.h"

#include <algorithm>
#include <boost/beast/zlib/inflate_stream.hpp>

#include "base/error.h"
#include "serve/page_files.h"

namespace corral::serve {
namespace {

// Everything from this server, nothing inline: what a model wrote cannot run or load in the page.
constexpr std::string_view kPagePolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "media-src 'self' blob:; font-src 'self'; connect-src 'self'; worker-src 'self'; "
    "frame-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'";

// Where programs that a model wrote run: any script, in an origin of its own, without a way out.
constexpr std::string_view kFramePolicy =
    "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; "
    "style-src 'unsafe-inline'; img-src data: blob:; media-src data: blob:; font-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'self'";

// Is this coding in the list of an Accept-Encoding, and not with the weight 0?
bool accepts(std::string_view list, std::string_view coding) {
  while (!list.empty()) {
    const size_t comma = std::min(list.find(','), list.size());
    std::string_view item = list.substr(0, comma);
    list.remove_prefix(std::min(comma + 1, list.size()));
    while (item.starts_with(' ')) item.remove_prefix(1);
    if (!item.starts_with(coding)) continue;
    item.remove_prefix(coding.size());
    const bool whole_word = item.empty() || item.front() == ';' || item.front() == ' ';
    if (whole_word && item.find_first_of("123456789") != std::string_view::npos) return true;
    if (whole_word && item.find("q=") == std::string_view::npos) return true;
  }
  return false;
}

const PageFile* find_file(std::string_view path) {
  const auto files = page_files();
  const auto found = std::find_if(files.begin(), files.end(),
                                  [&](const PageFile& file) { return file.path == path; });
  return found == files.end() ? nullptr : &*found;
}

HttpResponse no_page() {
  return {.status = 404,
          .body = "This corral was built without its chat page. The API is at /v1.\n",
          .content_type = "text/plain; charset=utf-8"};
}

}  // namespace

std::string gunzip(std::string_view gzip, size_t plain_bytes) {
  // Ten bytes of header, as nothing optional is in it, and eight of checksum and size.
  constexpr size_t kHeaderBytes = 10;
  constexpr size_t kTrailerBytes = 8;
  if (gzip.size() < kHeaderBytes + kTrailerBytes ||
      gzip.substr(0, 4) != std::string_view("\x1f\x8b\x08\0", 4)) {
    throw CorruptFile("this is no plain gzip file");
  }
  namespace zlib = boost::beast::zlib;
  std::string plain(plain_bytes + 1, '\0');
  zlib::inflate_stream stream;
  zlib::z_params params;
  params.next_in = gzip.data() + kHeaderBytes;
  params.avail_in = gzip.size() - kHeaderBytes;  // the trailer too: the reader looks ahead
  params.next_out = plain.data();
  params.avail_out = plain.size();
  boost::system::error_code error;
  stream.write(params, zlib::Flush::finish, error);
  if (error != zlib::error::end_of_stream || params.total_out != plain_bytes) {
    throw CorruptFile(str("a gzip file holds ", params.total_out, " bytes, needs ", plain_bytes));
  }
  plain.resize(plain_bytes);
  return plain;
}

std::optional<HttpResponse> get_static_file(const HttpRequest& request) {
  if (request.method != "GET") return std::nullopt;
  const PageFile* file = find_file(request.path);
  if (file == nullptr) {
    if (request.path == "/" && page_files().empty()) return no_page();
    return std::nullopt;
  }
  HttpResponse response;
  response.content_type = file->content_type;
  const bool is_frame = file->path == "/frame";
  response.headers = {
      {"Content-Security-Policy", std::string(is_frame ? kFramePolicy : kPagePolicy)},
      {"Referrer-Policy", "no-referrer"},
      {"X-DNS-Prefetch-Control", "off"},
      {"Cross-Origin-Opener-Policy", "same-origin"},
      {"Cross-Origin-Resource-Policy", "same-origin"},
      // A browser asks each time, and a page of another version is never mixed with this one.
      {"Cache-Control", "no-cache"},
      {"ETag", std::string(file->etag)},
      {"Vary", "Accept-Encoding"}};
  if (request.if_none_match.find(file->etag) != std::string::npos) {
    response.status = 304;
  } else if (accepts(request.accept_encoding, "gzip")) {
    response.headers.emplace_back("Content-Encoding", "gzip");
    response.body = std::string(file->gzip);
  } else {
    response.body = gunzip(file->gzip, file->plain_bytes);
  }
  return response;
}

}  // namespace corral::serve
