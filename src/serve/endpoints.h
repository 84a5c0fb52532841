#pragma once

#include <string>

#include "serve/media.h"
#include "serve/moderation.h"
#include "serve/response_store.h"
#include "serve/service.h"
#include "serve/session_options.h"
#include "serve/shelf.h"

namespace corral::serve {

/// What all endpoints share.
struct Backend {
  Shelf& shelf;
  MediaOptions media;
  ResponseStore responses;
  SessionOptions sessions;
  ModerationPtr moderation;  // null: nobody judges what is asked and answered
};

/// A request on its way through an endpoint.
struct Call {
  HttpRequest http;
  ResponderPtr responder;
  std::string client;  // who asks, for fair turns
  Ended ended;
};

// Each answers one call, now or as the engine brings it, and then calls `ended` once. They may
// block (on files, pictures, a model that is opened) and throw ApiError.

void post_chat_completions(Backend& backend, const Call& call);
void post_completions(Backend& backend, const Call& call);
void post_embeddings(Backend& backend, const Call& call);
void post_responses(Backend& backend, const Call& call);
void post_messages(Backend& backend, const Call& call);
void post_count_tokens(Backend& backend, const Call& call);
void post_tokenize(Backend& backend, const Call& call);
void post_detokenize(Backend& backend, const Call& call);
/// /slots/ID?action=save, restore or erase, as llama-server has it.
void post_slots(Backend& backend, const Call& call);
/// GET /slots?model=NAME: the client's slots of that model (the first if none is named), [{"id",
/// "n_ctx", "n_past"}].
void get_slots(Backend& backend, const Call& call);

/// GET or DELETE of a response that was kept. Throws ApiError 404, 405.
HttpResponse stored_response(Backend& backend, const HttpRequest& request, const std::string& id,
                             const std::string& client);

/// A text for the model: after a begin-of-text token, the spelling of special tokens taken as such.
/// Throws ApiError 400 for tokens that the model does not have.
std::vector<int32_t> input_tokens(const text::Tokenizer& tokenizer, const InputText& text);
/// A chat as the model reads it, its pictures seen. Throws ApiError 400.
engine::Prompt chat_prompt_of(Backend& backend, Service& model, ChatRequest& request);
/// The same as a request to the engine.
engine::Request chat_request(Backend& backend, Service& model, ChatRequest& request,
                             const std::string& client);

}  // namespace corral::serve
