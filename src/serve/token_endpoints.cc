// /tokenize and /detokenize
#include <utility>

#include "serve/endpoints.h"

namespace corral::serve {
namespace {

void answer_whole(Backend& backend, const Call& call,
                  HttpResponse (*work)(const Service&, const OrderedJson&)) {
  const OrderedJson body = parse_body(call.http.body);
  const Lease model = backend.shelf.open(Fields(body).text("model").value_or(""));
  call.responder->send(work(*model, body));
  call.ended(200, {});
}

}  // namespace

void post_tokenize(Backend& backend, const Call& call) { answer_whole(backend, call, tokenize); }
void post_detokenize(Backend& backend, const Call& call) {
  answer_whole(backend, call, detokenize);
}

}  // namespace corral::serve
