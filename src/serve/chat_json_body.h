#pragma once

#include <string>
#include <vector>

#include "serve/api_json.h"

namespace corral::serve {

// The other APIs in the words of /v1/chat/completions, so that there is one reader of chats with
// one set of ranges and limits.

/// Anthropic's POST /v1/messages. Throws ApiError 400 naming the member that is wrong, and for what
/// this server does not do. counting: only to count tokens, so max_tokens may be missing.
OrderedJson chat_body_of_messages(const OrderedJson& body, bool counting);

/// OpenAI's POST /v1/responses, after the messages of the conversation that it continues. Throws
/// ApiError 400.
OrderedJson chat_body_of_responses(const OrderedJson& body, const OrderedJson& earlier_messages);

}  // namespace corral::serve
