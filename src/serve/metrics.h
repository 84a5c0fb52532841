#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "serve/http_server.h"
#include "serve/moderation.h"
#include "serve/shelf.h"

namespace corral::serve {

/// What /metrics says, in Prometheus' text format (version 0.0.4). answered: requests by status.
/// moderation: null when there is none.
std::string metrics_text(const std::vector<ShelfStats>& models, const HttpStats& http,
                         const std::map<int, int64_t>& answered, const Moderation* moderation);

}  // namespace corral::serve
