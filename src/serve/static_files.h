#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "serve/http.h"

namespace corral::serve {

/// Answers GET and HEAD for the chat page: compressed for clients that take gzip, 304 for those
/// that have it, always with a Content-Security-Policy under which a browser asks nobody but this
/// server. Nothing when the path is none of the page's. Needs no key: the page asks for it.
/// Thread-safe.
std::optional<HttpResponse> get_static_file(const HttpRequest& request);

/// What a gzip file with one member holds. Throws CorruptFile when it does not hold exactly
/// plain_bytes.
std::string gunzip(std::string_view gzip, size_t plain_bytes);

}  // namespace corral::serve
